// TEST: timeout=60
//
// zmm16-31 through waits of all kinds: threads inherit them from who makes them, keep them or change them, have
// signals and make threads and processes of their own; k1-k4 through the making. Each asm below holds the registers
// from a load to a store without a call to libc between. On a CPU without AVX-512 it does the same with xmm0-15.
#include <linux/futex.h>

#include "check.h"

enum { kBytes = 1024, kRounds = 150, kThreads = 12, kChildren = 40 };

typedef struct {
    unsigned char bytes[kBytes];
} __attribute__((aligned(64))) Registers;

#define EACH(DO)                                                                                                  \
    DO("0", "0", "16")                                                                                            \
    DO("64", "1", "17") DO("128", "2", "18") DO("192", "3", "19") DO("256", "4", "20") DO("320", "5", "21")       \
        DO("384", "6", "22") DO("448", "7", "23") DO("512", "8", "24") DO("576", "9", "25") DO("640", "10", "26") \
            DO("704", "11", "27") DO("768", "12", "28") DO("832", "13", "29") DO("896", "14", "30")               \
                DO("960", "15", "31")
#define LOAD_HIGH(at, low, high) "vmovups " at "(%%r12), %%zmm" high "\n\t"
#define STORE_HIGH(at, low, high) "vmovups %%zmm" high ", " at "(%%r13)\n\t"
#define LOAD_LOW(at, low, high) "movups " at "(%%r12), %%xmm" low "\n\t"
#define STORE_LOW(at, low, high) "movups %%xmm" low ", " at "(%%r13)\n\t"

// loads `in`, makes the call `times` times, stores to `out`
#define HELD(LOAD, STORE)                                                                                          \
    do {                                                                                                           \
        register long r10 __asm__("r10") = a3;                                                                     \
        register long r8 __asm__("r8") = a4;                                                                       \
        register long r9 __asm__("r9") = 0;                                                                        \
        register const void* from __asm__("r12") = in;                                                             \
        register void* to __asm__("r13") = out;                                                                    \
        register long left __asm__("r14") = times;                                                                 \
        register long call __asm__("r15") = nr;                                                                    \
        __asm__ volatile(EACH(LOAD) "1: mov %%r15, %%rax\n\tsyscall\n\tdec %%r14\n\tjnz 1b\n\t" EACH(STORE)        \
                         : "=&a"(result), "+r"(left)                                                               \
                         : "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9), "r"(from), "r"(to), "r"(call)    \
                         : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", \
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                  \
    } while (0)

static int has_high;

static long held(const Registers* in, Registers* out, int times, long nr, long a0, long a1, long a2, long a3,
                 long a4) {
    long result;
    if (has_high)
        HELD(LOAD_HIGH, STORE_HIGH);
    else
        HELD(LOAD_LOW, STORE_LOW);
    return result;
}

static void fill(Registers* r, unsigned seed) {
    for (int i = 0; i < kBytes; i++) r->bytes[i] = (unsigned char)((seed = seed * 1103515245 + 12345) >> 16);
    if (!has_high)
        for (int i = 0; i < kBytes; i++)
            if (i % 64 >= 16) r->bytes[i] = 0;
}

static void check_same(const Registers* a, const Registers* b, const char* after) {
    for (int i = 0; i < kBytes; i++)
        if (a->bytes[i] != b->bytes[i])
            check_failed(__FILE_NAME__, __LINE__, "after %s register %d has changed", after, i / 64);
}

static int pipes[kThreads][2];
static Registers common;
static volatile int handled;

static void on_signal(int sig) {
    Registers mine, seen = {{0}};
    handled = 1;
    fill(&mine, 77);
    held(&mine, &seen, 2, SYS_sched_yield, 0, 0, 0, 0, 0);
    check_same(&mine, &seen, "a yield in a handler");
}

// A child by clone(2), without libc: stores what it begins with, waits, stores again, changes one register, waits,
// stores.
typedef struct {
    Registers first, second, third;
    volatile int ended;
} __attribute__((aligned(64))) Child;

#define CHANGE_HIGH "vpternlogd $255, %%zmm23, %%zmm23, %%zmm23\n\t"
#define CHANGE_LOW "pcmpeqd %%xmm7, %%xmm7\n\t"
#define LOAD_MASKS_HIGH \
    "kmovq (%%r12), %%k1\n\tkmovq 8(%%r12), %%k2\n\tkmovq 16(%%r12), %%k3\n\tkmovq 24(%%r12), %%k4\n\t"
#define STORE_MASKS_HIGH \
    "kmovq %%k1, (%%r15)\n\tkmovq %%k2, 8(%%r15)\n\tkmovq %%k3, 16(%%r15)\n\tkmovq %%k4, 24(%%r15)\n\t"
#define MAKE(LOAD, STORE, CHANGE, LOAD_MASKS, STORE_MASKS)                                                                       \
    do {                                                                                                                         \
        register long r10 __asm__("r10") = (long)&child->ended;                                                                  \
        register long r8 __asm__("r8") = 0;                                                                                      \
        register const void* from __asm__("r12") = in;                                                                           \
        register void* to __asm__("r13") = child;                                                                                \
        register void* word __asm__("r14") = (void*)go;                                                                          \
        register void* kept __asm__("r15") = masks;                                                                              \
        __asm__ volatile(EACH(LOAD) LOAD_MASKS "mov $56, %%eax\n\tsyscall\n\ttest %%rax, %%rax\n\tjnz 9f\n\t" EACH(STORE)      \
                         "2: cmpl $0, (%%r14)\n\tjne 3f\n\tmov %%r14, %%rdi\n\tmov $128, %%esi\n\txor %%edx, %%edx\n\t"        \
                         "xor %%r10d, %%r10d\n\tmov $202, %%eax\n\tsyscall\n\tjmp 2b\n\t"                                      \
                         "3: add $1024, %%r13\n\t" EACH(STORE) CHANGE                                                          \
                         "mov $24, %%eax\n\tsyscall\n\tmov $24, %%eax\n\tsyscall\n\t"                                          \
                         "add $1024, %%r13\n\t" EACH(STORE) "xor %%edi, %%edi\n\tmov $60, %%eax\n\tsyscall\n\t"                \
                         "9: " STORE_MASKS                                                                                     \
                         : "=&a"(result)                                                                                       \
                         : "D"(flags), "S"(stack), "d"(0), "r"(r10), "r"(r8), "r"(from), "r"(to), "r"(word), "r"(kept)         \
                         : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",     \
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"); \
    } while (0)

static long make(const Registers* in, Child* child, volatile int* go, void* stack) {
    unsigned char masks[32];
    long flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;
    long result;
    if (has_high)
        MAKE(LOAD_HIGH, STORE_HIGH, CHANGE_HIGH, LOAD_MASKS_HIGH, STORE_MASKS_HIGH);
    else
        MAKE(LOAD_LOW, STORE_LOW, CHANGE_LOW, "", "");
    for (int i = 0; has_high && i < 32; i++)
        if (masks[i] != in->bytes[i])
            check_failed(__FILE_NAME__, __LINE__, "k%d of the maker has changed", i / 8 + 1);
    return result;
}

// A thread's life: what it was made with for a while, now and then something of its own, for one wait or for several.
static void* lives(void* arg) {
    int me = (int)(long)arg;
    unsigned seed = 1000 + me;
    for (int round = 0; round < kRounds; round++) {
        Registers in, out = {{0}};
        struct timespec nap = {0, 20000};
        int word = 0, byte = 0;
        const char* what;
        seed = seed * 1103515245 + 12345;
        unsigned choice = seed >> 16;
        if (choice % 4)
            in = common;
        else
            fill(&in, choice % 8 ? (unsigned)me : (unsigned)round);
        if (choice % 32 == 0) in.bytes[(choice >> 5) % 16 * 64] ^= 1;  // all but one byte of it
        switch (choice / 4 % 7) {
            case 0:
                what = "yields";
                held(&in, &out, 5, SYS_sched_yield, 0, 0, 0, 0, 0);
                break;
            case 1:
                what = "naps";
                held(&in, &out, 3, SYS_nanosleep, (long)&nap, 0, 0, 0, 0);
                break;
            case 2:
                what = "a futex";
                held(&in, &out, 2, SYS_futex, (long)&word, FUTEX_WAIT_PRIVATE, 0, (long)&nap, 0);
                break;
            case 3:
                what = "a pipe";
                held(&in, &out, 1, SYS_write, pipes[me][1], (long)&byte, 1, 0, 0);
                check_same(&in, &out, what);
                held(&in, &out, 1, SYS_read, pipes[me][0], (long)&byte, 1, 0, 0);
                break;
            case 4:
                what = "a signal";
                held(&in, &out, 1, SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1, 0, 0);
                break;
            case 5:
                what = "no call at all";
                held(&in, &out, 3, SYS_getppid, 0, 0, 0, 0, 0);
                break;
            default:
                what = "a poll";
                held(&in, &out, 1, SYS_poll, 0, 0, 1, 0, 0);
        }
        check_same(&in, &out, what);
    }
    return NULL;
}

static void let_go(volatile int* go) {
    *go = 1;
    syscall(SYS_futex, go, FUTEX_WAKE_PRIVATE, INT_MAX);
}

static void check_life(const Registers* made_with, const Child* child) {
    Registers changed = *made_with;
    for (int seen; (seen = child->ended) != 0;) syscall(SYS_futex, &child->ended, FUTEX_WAIT, seen, NULL);
    check_same(made_with, &child->first, "clone");
    check_same(made_with, &child->second, "a child's wait");
    memset(changed.bytes + 7 * 64, 255, has_high ? 64 : 16);
    check_same(&changed, &child->third, "a child's change");
}

// Parents of few and of many different contents: more at once than blocks of any kind that might be kept of them.
static void children(int different) {
    static Child all[kChildren * 3];
    static char stacks[kChildren * 3][4096] __attribute__((aligned(64)));
    static volatile int go;
    Registers made_with[kChildren * 3];
    int n = different > kChildren ? kChildren * 3 : kChildren;
    go = 0;
    memset(all, 0, sizeof all);
    for (int i = 0; i < n; i++) {
        fill(&made_with[i], (unsigned)(i % different));
        all[i].ended = 1;
        CHECK(make(&made_with[i], &all[i], &go, stacks[i] + sizeof stacks[i]) > 0);
    }
    let_go(&go);
    for (int i = 0; i < n; i++) check_life(&made_with[i], &all[i]);
}

// Two alike, of whom one ends; others that are made meanwhile have nothing of the second's.
static void twins(void) {
    static Child pairs[kChildren][2], others[kChildren];
    static char stacks[kChildren][3][4096] __attribute__((aligned(64)));
    static volatile int go[3];
    Registers alike[kChildren], other[kChildren];
    memset((void*)go, 0, sizeof go);
    for (int i = 0; i < kChildren; i++) {
        fill(&alike[i], 300 + i);
        for (int k = 0; k < 2; k++) {
            pairs[i][k].ended = 1;
            CHECK(make(&alike[i], &pairs[i][k], &go[k], stacks[i][k] + sizeof stacks[i][k]) > 0);
        }
    }
    let_go(&go[0]);
    for (int i = 0; i < kChildren; i++) check_life(&alike[i], &pairs[i][0]);
    for (int i = 0; i < kChildren; i++) {
        fill(&other[i], 400 + i);
        others[i].ended = 1;
        CHECK(make(&other[i], &others[i], &go[2], stacks[i][2] + sizeof stacks[i][2]) > 0);
    }
    let_go(&go[1]);
    for (int i = 0; i < kChildren; i++) check_life(&alike[i], &pairs[i][1]);
    let_go(&go[2]);
    for (int i = 0; i < kChildren; i++) check_life(&other[i], &others[i]);
}

// Who has just made a thread, and still has what that one inherited, gets signals: both see what they had.
static void signals_to_makers(void) {
    static char stack[4096] __attribute__((aligned(64)));
    static Child child;
    static volatile int go;
    for (int i = 0; i < 20; i++) {
        Registers in, out = {{0}};
        long self = syscall(SYS_gettid), pid = getpid();
        fill(&in, 500 + i % 3);
        go = 0;
        child.ended = 1;
        CHECK(make(&in, &child, &go, stack + sizeof stack) > 0);
        held(&in, &out, 3, i % 2 ? SYS_tgkill : SYS_sched_yield, pid, self, SIGUSR1, 0, 0);
        check_same(&in, &out, "making a thread");
        let_go(&go);
        check_life(&in, &child);
    }
}

// Beside the others one that has the upper halves of ymm0-15 in use, and makes threads that do
// too before they wait for the first time.
static volatile int wide_ends;
static void be_wide(int content) {
    unsigned same;
    int high[16];
    __asm__ volatile(
        "vpbroadcastd %2, %%zmm20\n\tvpcmpeqd %%ymm3, %%ymm3, %%ymm3\n\tmov $24, %%eax\n\tsyscall\n\t"
        "vpmovmskb %%ymm3, %0\n\tvmovups %%zmm20, (%1)\n\tvzeroupper"
        : "=&r"(same)
        : "r"(high), "r"(content)
        : "rax", "rcx", "r11", "memory", "xmm3");
    CHECK_EQ(same, ~0u);
    for (int i = 0; i < 16; i++) CHECK_EQ(high[i], content);
}

static void* is_wide_once(void* arg) {
    be_wide((int)(long)arg);
    return NULL;
}

static void* is_wide(void* arg) {
    for (int i = 0; i < 100; i++) be_wide(100);  // until its site is a known one
    while (!wide_ends) {
        pthread_t t[4];
        for (int i = 0; i < 4; i++) t[i] = start(is_wide_once, (void*)(i + 1L));
        be_wide(100);
        for (int i = 0; i < 4; i++) finish(t[i]);
    }
    return NULL;
}

static void forks(void) {
    Registers in, out = {{0}};
    fill(&in, 5);
    for (int i = 0; i < 3; i++) {
        long pid = held(&in, &out, 1, SYS_fork, 0, 0, 0, 0, 0);
        check_same(&in, &out, "fork");
        if (!pid) {
            pthread_t t[4];
            for (long k = 0; k < 4; k++) t[k] = start(lives, (void*)k);
            for (int k = 0; k < 4; k++) finish(t[k]);
            children(3);
            twins();
            _exit(0);
        }
        CHECK_EXIT((pid_t)pid, 0);
        in.bytes[i] ^= 255;
    }
}

int main(void) {
    has_high = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    fill(&common, 1);
    handle(SIGUSR1, on_signal, SA_RESTART);
    for (int i = 0; i < kThreads; i++) make_pipe(pipes[i]);
    pthread_t t[kThreads];
    for (long i = 0; i < kThreads; i++) t[i] = start(lives, (void*)i);
    pthread_t wide;
    if (has_high) wide = start(is_wide, NULL);
    children(1);
    children(2);
    for (int i = 0; i < kThreads; i++) finish(t[i]);
    children(7);
    children(kChildren * 3);
    twins();
    signals_to_makers();
    wide_ends = 1;
    if (has_high) finish(wide);
    forks();
    children(2);
    CHECK(handled);
    say("each has its own");
    return 0;
}
