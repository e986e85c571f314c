// futex_answers_to_bad_arguments.c - what futex, futex_waitv, futex_wait, futex_wake and futex_requeue say of bad
// pointers, alignment, flags, counts, operations and time limits. Alone, then beside another thread. Left out is what
// README.md names: requeueing to a priority- inheritance lock in shared memory.
#include "futex.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
enum { kWake = 454, kWait = 455, kRequeue = 456 };
struct waitv {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static int* places[9];
static const char* place_names[] = {"ok",       "odd",    "null",   "none",    "unmapped",
                                    "readonly", "kernel", "shared", "sharedro"};
enum { OK, ODD, NUL, NONE, UNMAPPED, RO, KERNEL, SHARED, SHAREDRO, PLACES };
static int other_word[2];
static const int flags2[] = {0, 1, 2, 3, 6, 10, 16, 32, 64, 128, 129, 130, 131, 144, 192};

static const char* ename(long r) {
    static char text[32];
    if (r != -1) {
        snprintf(text, sizeof text, "%ld", r);
        return text;
    }
    return strerrorname_np(errno);
}
#define SHOW(what, call)                    \
    do {                                    \
        errno = 0;                          \
        long show_r = (call);               \
        say("%s: %s", what, ename(show_r)); \
    } while (0)
static void show(const char* op, int flag, const char* a, const char* b, long r) {
    say("%s%s %s %s: %s", op,
        flag & FUTEX_PRIVATE_FLAG     ? " private"
        : flag & FUTEX_CLOCK_REALTIME ? " realtime"
                                      : "",
        a, b, ename(r));
}
static void reset(void) {
    *places[OK] = 0;
    *places[SHARED] = 0;
    other_word[0] = 0;
}

static void all(void) {
    struct timespec soon = {0, 1000000}, past = {1, 0}, bad_ns = {0, 1000000000}, neg_ns = {0, -1}, neg_s = {-1, 0};
    const struct {
        const char* name;
        const void* at;
    } limits[] = {{"soon", &soon},   {"bad_ns", &bad_ns},       {"neg_ns", &neg_ns},
                  {"neg_s", &neg_s}, {"kernel", (void*)-4096L}, {"unmapped", places[UNMAPPED]}};
    const int flags[] = {0, FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME};
    for (int f = 0; f < 4; f++) {
        int flag = flags[f];
        char op[40];
#define N(x) (snprintf(op, sizeof op, "%s%s", x, f == 3 ? " rt" : ""), op)
        for (int p = 0; p < PLACES; p++) {
            const char* pn = place_names[p];
            int* at = places[p];
            const struct timespec* t = &soon;
            reset();
            show(N("WAIT"), flag, pn, "", futex(at, FUTEX_WAIT | flag, 0, t, NULL, 0));
            show(N("WAIT differs"), flag, pn, "", futex(at, FUTEX_WAIT | flag, 77, t, NULL, 0));
            show(N("WAIT_BITSET"), flag, pn, "", futex(at, FUTEX_WAIT_BITSET | flag, 0, &past, NULL, 1));
            show(N("WAIT_BITSET 0"), flag, pn, "", futex(at, FUTEX_WAIT_BITSET | flag, 0, &past, NULL, 0));
            show(N("WAKE"), flag, pn, "", futex(at, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
            show(N("WAKE -1"), flag, pn, "", futex(at, FUTEX_WAKE | flag, -1, NULL, NULL, 0));
            show(N("WAKE 0"), flag, pn, "", futex(at, FUTEX_WAKE | flag, 0, NULL, NULL, 0));
            show(N("WAKE_BITSET"), flag, pn, "", futex(at, FUTEX_WAKE_BITSET | flag, 1, NULL, NULL, 1));
            show(N("WAKE_BITSET 0"), flag, pn, "", futex(at, FUTEX_WAKE_BITSET | flag, 1, NULL, NULL, 0));
            show(N("LOCK_PI"), flag, pn, "", futex(at, FUTEX_LOCK_PI | flag, 0, &past, NULL, 0));
            show(N("LOCK_PI again"), flag, pn, "", futex(at, FUTEX_LOCK_PI | flag, 0, &past, NULL, 0));
            show(N("TRYLOCK_PI"), flag, pn, "", futex(at, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("UNLOCK_PI"), flag, pn, "", futex(at, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("UNLOCK_PI free"), flag, pn, "", futex(at, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("LOCK_PI2"), flag, pn, "", futex(at, FUTEX_LOCK_PI2 | flag, 0, &past, NULL, 0));
            show(N("TRYLOCK_PI"), flag, pn, "", futex(at, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("UNLOCK_PI"), flag, pn, "", futex(at, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("TRYLOCK_PI"), flag, pn, "", futex(at, FUTEX_TRYLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("UNLOCK_PI"), flag, pn, "", futex(at, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
            show(N("FD"), flag, pn, "", futex(at, FUTEX_FD | flag, 0, NULL, NULL, 0));
            reset();
            for (int q = 0; q < PLACES; q++) {
                const char* qn = place_names[q];
                int* to = q == OK && p == OK ? other_word : places[q];
                if (f >= 2 && q > 1) continue;
                reset();
                show(N("REQUEUE"), flag, pn, qn, futex(at, FUTEX_REQUEUE | flag, 1, (void*)1, to, 0));
                show(N("CMP_REQUEUE"), flag, pn, qn, futex(at, FUTEX_CMP_REQUEUE | flag, 1, (void*)1, to, 0));
                show(N("CMP_REQUEUE differs"), flag, pn, qn,
                     futex(at, FUTEX_CMP_REQUEUE | flag, 1, (void*)1, to, 77));
                show(N("WAKE_OP"), flag, pn, qn,
                     futex(at, FUTEX_WAKE_OP | flag, 1, (void*)1, to, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)));
                reset();
                if ((p == SHARED || p == SHAREDRO) && !(flag & FUTEX_PRIVATE_FLAG)) continue;
                show(N("CMP_REQUEUE_PI"), flag, pn, qn, futex(at, FUTEX_CMP_REQUEUE_PI | flag, 1, (void*)1, to, 0));
                show(N("CMP_REQUEUE_PI differs"), flag, pn, qn,
                     futex(at, FUTEX_CMP_REQUEUE_PI | flag, 1, (void*)1, to, 77));
                show(N("WAIT_REQUEUE_PI"), flag, pn, qn, futex(at, FUTEX_WAIT_REQUEUE_PI | flag, 0, &past, to, 0));
            }
        }
        reset();
        int* at = places[OK];
        show(N("REQUEUE same"), flag, "", "", futex(at, FUTEX_REQUEUE | flag, 1, (void*)1, at, 0));
        show(N("CMP_REQUEUE_PI same"), flag, "", "", futex(at, FUTEX_CMP_REQUEUE_PI | flag, 1, (void*)1, at, 0));
        show(N("WAIT_REQUEUE_PI same"), flag, "", "", futex(at, FUTEX_WAIT_REQUEUE_PI | flag, 0, &past, at, 0));
        show(N("WAIT_REQUEUE_PI differs"), flag, "", "",
             futex(at, FUTEX_WAIT_REQUEUE_PI | flag, 7, &past, other_word, 0));
        const int counts[][2] = {{-1, 1}, {1, -1}, {0, 0}, {2, 1}, {INT_MIN, INT_MIN}};
        for (int i = 0; i < 5; i++) {
            char c[30];
            snprintf(c, sizeof c, "%d", i);
            void* second = (void*)(long)counts[i][1];
            show(N("REQUEUE counts"), flag, c, "",
                 futex(at, FUTEX_REQUEUE | flag, counts[i][0], second, other_word, 0));
            show(N("CMP_REQUEUE counts"), flag, c, "",
                 futex(at, FUTEX_CMP_REQUEUE | flag, counts[i][0], second, other_word, 0));
            show(N("CMP_REQUEUE counts differs"), flag, c, "",
                 futex(at, FUTEX_CMP_REQUEUE | flag, counts[i][0], second, other_word, 7));
            show(N("CMP_REQUEUE counts odd"), flag, c, "",
                 futex(places[ODD], FUTEX_CMP_REQUEUE | flag, counts[i][0], second, other_word, 7));
            show(N("CMP_REQUEUE_PI counts"), flag, c, "",
                 futex(at, FUTEX_CMP_REQUEUE_PI | flag, counts[i][0], second, other_word, 0));
            show(N("WAKE_OP counts"), flag, c, "",
                 futex(at, FUTEX_WAKE_OP | flag, counts[i][0], second, other_word, 0));
        }
        for (int o = 0; o < 16; o++) {
            other_word[0] = 5;
            char c[30];
            snprintf(c, sizeof c, "%d", o);
            show(N("WAKE_OP op"), flag, c, "",
                 futex(at, FUTEX_WAKE_OP | flag, 1, (void*)1, other_word, (int)((unsigned)o << 28 | 33 << 12)));
            say("%d", other_word[0]);
            show(N("WAKE_OP cmp"), flag, c, "",
                 futex(at, FUTEX_WAKE_OP | flag, 1, (void*)1, other_word, (int)((unsigned)o << 24 | 3 << 12)));
            say("%d", other_word[0]);
        }
        for (unsigned l = 0; l < sizeof limits / sizeof *limits; l++) {
            const char* ln = limits[l].name;
            const void* t = limits[l].at;
            for (int p = 0; p < 3; p++) {
                reset();
                int* w = places[p];
                const char* pn = place_names[p];
                if (l) {
                    show(N("WAIT limit"), flag, ln, pn, futex(w, FUTEX_WAIT | flag, 0, t, NULL, 0));
                    show(N("WAIT differs limit"), flag, ln, pn, futex(w, FUTEX_WAIT | flag, 7, t, NULL, 0));
                    show(N("WAIT_BITSET limit"), flag, ln, pn, futex(w, FUTEX_WAIT_BITSET | flag, 0, t, NULL, 1));
                    show(N("WAIT_BITSET 0 limit"), flag, ln, pn, futex(w, FUTEX_WAIT_BITSET | flag, 0, t, NULL, 0));
                    show(N("WAIT_REQUEUE_PI limit"), flag, ln, pn,
                         futex(w, FUTEX_WAIT_REQUEUE_PI | flag, 0, t, other_word, 0));
                }
                show(N("LOCK_PI limit"), flag, ln, pn, futex(w, FUTEX_LOCK_PI | flag, 0, t, NULL, 0));
                show(N("UNLOCK_PI"), flag, ln, pn, futex(w, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
                show(N("LOCK_PI2 limit"), flag, ln, pn, futex(w, FUTEX_LOCK_PI2 | flag, 0, t, NULL, 0));
                show(N("UNLOCK_PI"), flag, ln, pn, futex(w, FUTEX_UNLOCK_PI | flag, 0, NULL, NULL, 0));
                show(N("WAKE limit"), flag, ln, pn, futex(w, FUTEX_WAKE | flag, 1, t, NULL, 0));
                show(N("TRYLOCK_PI limit"), flag, ln, pn, futex(w, FUTEX_TRYLOCK_PI | flag, 0, t, NULL, 0));
                show(N("UNLOCK_PI limit"), flag, ln, pn, futex(w, FUTEX_UNLOCK_PI | flag, 0, t, NULL, 0));
            }
        }
        for (int o = 14; o < 128; o += 19) {
            snprintf(op, sizeof op, "op %d", o);
            show(op, flag, "", "", futex(at, o | flag, 0, NULL, NULL, 0));
        }
        for (int bit = 9; bit < 32; bit++) {
            snprintf(op, sizeof op, "bit %d", bit);
            show(op, flag, "", "", futex(at, (int)(FUTEX_WAKE | flag | 1u << bit), 0, NULL, NULL, 0));
        }
    }
    // other owners
    *places[OK] = 1;
    SHOW("UNLOCK_PI of init", futex(places[OK], FUTEX_UNLOCK_PI_PRIVATE, 0, &past, NULL, 0));
    *places[OK] = 0x3fff00;
    SHOW("LOCK_PI of none", futex(places[OK], FUTEX_LOCK_PI_PRIVATE, 0, &past, NULL, 0));
    SHOW("TRYLOCK_PI of none", futex(places[OK], FUTEX_TRYLOCK_PI_PRIVATE, 0, &past, NULL, 0));
    SHOW("UNLOCK_PI of none", futex(places[OK], FUTEX_UNLOCK_PI_PRIVATE, 0, &past, NULL, 0));
    reset();
    // futex_waitv
    struct timespec gone = {1, 0};
    struct waitv v[130];
    memset(v, 0, sizeof v);
    for (int i = 0; i < 130; i++) v[i].address = (uint64_t)places[OK], v[i].flags = FUTEX_32 | FUTEX_PRIVATE_FLAG;
#define WAITV(n, f, t, c) syscall(SYS_futex_waitv, v, n, f, t, c)
    SHOW("waitv", WAITV(2, 0, &gone, CLOCK_MONOTONIC));
    SHOW("waitv real", WAITV(2, 0, &gone, CLOCK_REALTIME));
    SHOW("waitv 0", WAITV(0, 0, &gone, CLOCK_MONOTONIC));
    SHOW("waitv 128", WAITV(128, 0, &gone, CLOCK_MONOTONIC));
    SHOW("waitv 129", WAITV(129, 0, &gone, CLOCK_MONOTONIC));
    SHOW("waitv -1", WAITV(-1, 0, &gone, CLOCK_MONOTONIC));
    SHOW("waitv flags", WAITV(2, 1, &gone, CLOCK_MONOTONIC));
    SHOW("waitv clock", WAITV(2, 0, &gone, CLOCK_BOOTTIME));
    SHOW("waitv clock none", (v[0].value = 3, WAITV(2, 0, NULL, 99)));
    SHOW("waitv clock first", WAITV(2, 0, (void*)-4096L, 99));
    v[0].value = 0;
    for (unsigned l = 1; l < sizeof limits / sizeof *limits; l++) {
        v[0].flags = FUTEX_32;
        SHOW(limits[l].name, WAITV(2, 0, limits[l].at, CLOCK_MONOTONIC));
        v[0].flags = 9;
        SHOW(limits[l].name, WAITV(2, 0, limits[l].at, CLOCK_MONOTONIC));
        SHOW(limits[l].name, WAITV(2, 4, limits[l].at, CLOCK_MONOTONIC));
        SHOW(limits[l].name, syscall(SYS_futex_waitv, NULL, 1, 0, limits[l].at, CLOCK_MONOTONIC));
    }
    SHOW("waitv null", syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0));
    SHOW("waitv kernel", syscall(SYS_futex_waitv, -4096L, 1, 0, NULL, 0));
    SHOW("waitv none", syscall(SYS_futex_waitv, places[NONE], 1, 0, NULL, 0));
    for (int f = 0; f < 2; f++)
        for (int p = 0; p < PLACES; p++) {
            v[0].address = v[1].address = (uint64_t)places[OK];
            v[1].flags = v[0].flags = 2 | (f ? 128 : 0);
            v[1].value = 0;
            v[1].address = (uint64_t)places[p];
            SHOW(place_names[p], WAITV(2, 0, &gone, CLOCK_MONOTONIC));
            v[0].address = (uint64_t)places[p];
            SHOW(place_names[p], WAITV(2, 0, &gone, CLOCK_MONOTONIC));
            v[1].value = 7;
            SHOW(place_names[p], WAITV(2, 0, &gone, CLOCK_MONOTONIC));
            v[0].address = (uint64_t)places[OK];
            SHOW(place_names[p], WAITV(2, 0, &gone, CLOCK_MONOTONIC));
        }
    v[0].address = v[1].address = (uint64_t)places[OK];
    v[1].value = 0;
    v[0].flags = 2;
    for (unsigned i = 0; i < sizeof flags2 / sizeof *flags2; i++) {
        char n[20];
        snprintf(n, sizeof n, "waitv flags %x", flags2[i]);
        v[1].flags = flags2[i];
        SHOW(n, WAITV(2, 0, &gone, CLOCK_MONOTONIC));
    }
    v[1].flags = 2;
    v[1].reserved = 1;
    SHOW("reserved", WAITV(2, 0, &gone, CLOCK_MONOTONIC));
    v[1].reserved = 0;
    v[1].value = 1ull << 32;
    SHOW("value", WAITV(2, 0, &gone, CLOCK_MONOTONIC));
    // futex2
    for (unsigned i = 0; i < sizeof flags2 / sizeof *flags2; i++) {
        int f = flags2[i];
        char n[20];
        snprintf(n, sizeof n, "futex2 flags %x", f);
        reset();
        for (int p = 0; p < PLACES; p++) {
            if (p > OK && f != 2 && f != 130) continue;
            SHOW(n, syscall(kWake, places[p], 1L, 1, f));
            SHOW(n, syscall(kWake, places[p], 0L, 1, f));
            SHOW(n, syscall(kWake, places[p], 0L, -1, f));
            SHOW(n, syscall(kWake, places[p], 1L << 32, 1, f));
            SHOW(n, syscall(kWake, places[p], 1L, 0, f));
            SHOW(n, syscall(kWake, places[p], -1L, -1, f));
            SHOW(n, syscall(kWait, places[p], 0L, 1L, f, &gone, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 0L, 1L, f, &gone, CLOCK_REALTIME));
            SHOW(n, syscall(kWait, places[p], 0L, 0L, f, &gone, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 0L, 1L << 32, f, &gone, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 1L << 32, 1L, f, &gone, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 5L, 1L, f, &gone, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 5L, 1L, f, NULL, 99));
            SHOW(n, syscall(kWait, places[p], 5L, 1L, f, &gone, 99));
            SHOW(n, syscall(kWait, places[p], 5L, 1L, f, (void*)-4096L, CLOCK_MONOTONIC));
            SHOW(n, syscall(kWait, places[p], 5L, 1L, f, &bad_ns, CLOCK_MONOTONIC));
            v[0].address = (uint64_t)places[p];
            v[1].address = (uint64_t)other_word;
            v[0].flags = f;
            v[1].flags = 2;
            v[0].value = v[1].value = 0;
            v[0].reserved = v[1].reserved = 0;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            SHOW(n, syscall(kRequeue, v, 1, 1, 1));
            SHOW(n, syscall(kRequeue, v, 0, -1, 1));
            SHOW(n, syscall(kRequeue, v, 0, 1, -1));
            v[0].value = 7;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[0].value = 1L << 32;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[0].value = 0;
            v[1].value = 7;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[1].value = 1L << 32;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[1].value = 0;
            v[1].reserved = 1;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[1].reserved = 0;
            v[1].address = v[0].address;
            v[0].address = (uint64_t)other_word;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
            v[1].flags = f;
            v[0].flags = 2;
            SHOW(n, syscall(kRequeue, v, 0, 1, 1));
        }
    }
    SHOW("requeue null", syscall(kRequeue, NULL, 0, 1, 1));
    SHOW("requeue bad", syscall(kRequeue, places[UNMAPPED], 0, 1, 1));
    SHOW("requeue null flags", syscall(kRequeue, NULL, 1, -1, 1));
}

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

int main(void) {
    sem_t leave;
    static int words[2];
    places[OK] = words;
    places[ODD] = (int*)((char*)words + 1);
    places[NUL] = NULL;
    places[NONE] = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    places[UNMAPPED] = (int*)0x200000;

    places[RO] = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    places[KERNEL] = (int*)-4096L;
    places[SHARED] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    places[SHAREDRO] = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    all();
    say("-- two");
    sem_init(&leave, 0, 0);
    pthread_t waiting = start(wait_here, &leave);
    settle();
    all();
    sem_post(&leave);
    finish(waiting);
}
