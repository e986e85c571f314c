// threads_meet_at_sites_never_run_before.c - many threads run hundreds of sites while these become hot, a timer interrupts them,
// and handlers find only addresses of the program.
// TEST: link=dynamic,static timeout=60
#include "check.h"

#define SITES 128
#define ROUNDS 120
// Each site is 32 bytes: number, a short instruction, the call.
__asm__(
    ".pushsection .text\n"
    ".balign 32\n"
    ".globl sites, sites_end\n"
    "sites:\n"
    ".rept 128\n"
    "mov $24, %eax\n"
    "xor %edi, %edi\n"
    "syscall\n"
    "ret\n"
    ".balign 32\n"
    ".endr\n"
    "sites_end:\n"
    ".popsection\n");
extern char sites[], sites_end[];

#define SEEN 4096
static _Atomic unsigned seen_count;
static unsigned long seen[SEEN];

static void on_alarm(int sig, siginfo_t* info, void* context) {
    unsigned n = seen_count++;
    if (n < SEEN) seen[n] = ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
}

// every address lies in a mapping of a file, or in the vDSO
static void check_seen(void) {
    unsigned n = seen_count < SEEN ? seen_count : SEEN;
    FILE* maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    static char line[4096];
    unsigned known = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) != 2 || (!strchr(line, '/') && !strstr(line, "[v"))) continue;
        for (unsigned i = 0; i < n; i++) known += seen[i] >= from && seen[i] < to;
    }
    fclose(maps);
    CHECK_EQ(known, n);
}

static void* run(void* arg) {
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < SITES; k++) {
            seed = seed * 1103515245 + 12345;
            long (*site)(void) = (long (*)(void))(sites + (seed >> 16) % SITES * 32);
            CHECK_EQ(site(), 0);
        }
    return NULL;
}

int main(void) {
    struct sigaction act = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGALRM, &act, NULL) == 0);
    struct itimerval often = {{0, 500}, {0, 500}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    pthread_t t[6];
    for (int i = 0; i < 6; i++) t[i] = start(run, (void*)(uintptr_t)(i + 1));
    for (int i = 0; i < 6; i++) finish(t[i]);
    struct itimerval off = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    check_seen();
    say("ok");
}
