// nested handlers deep on alternate stacks, in many threads, with faults and context switches inside handlers
#include "storm.h"
#include <setjmp.h>
static int rounds;
static atomic_long depth_sum;
static _Thread_local int depth;
static _Thread_local sigjmp_buf back;
static _Thread_local char* page;
static void nest(int sig, siginfo_t* info, void* context) {
    (void)info, (void)context;
    char local[512];
    memset(local, sig, sizeof local);
    depth++;
    atomic_fetch_add(&depth_sum, 1);
    if (depth < 10) {
        sched_yield();
        raise(sig == SIGUSR1 ? SIGUSR2 : SIGUSR1);
        usleep(1);
    }
    for (size_t i = 0; i < sizeof local; i++) CHECK(local[i] == sig);
    depth--;
}
static void fault(int sig, siginfo_t* info, void* context) {
    (void)sig, (void)context;
    CHECK(info->si_addr == page);
    sched_yield();
    siglongjmp(back, 1);
}
static void* body(void* p) {
    (void)p;
    stack_t ss = {.ss_size = 256 * 1024};
    ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(sigaltstack(&ss, NULL) == 0);
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (volatile int i = 0; i < rounds; i++) {
        raise(SIGUSR1);
        CHECK(depth == 0);
        if (!sigsetjmp(back, 1)) {
            *(volatile char*)page = 1;
            CHECK(!"reached");
        }
        stack_t now;
        CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == ss.ss_sp && now.ss_flags == 0);
    }
    ss.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&ss, NULL) == 0);
    return NULL;
}
int main(int argc, char** argv) {
    rounds = times(argc, argv, 30);
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = nest;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    a.sa_sigaction = fault;
    sigaction(SIGSEGV, &a, NULL);
    pthread_t t[32];
    for (int i = 0; i < 32; i++) t[i] = start(body, NULL);
    for (int i = 0; i < 32; i++) finish(t[i]);
    CHECK(atomic_load(&depth_sum) == 32L * rounds * 10);
    puts("ok");
    return 0;
}
