// nolibc_signals_and_processes.c - rt_sigaction with its own restorer, tgkill to a raw thread, fork, exec of itself,
// wait4.
// TEST: link=nolibc
#include "nolibc.h"

struct action {
    void (*handler)(int);
    word flags;
    void (*restorer)(void);
    word mask;
};
void restore(void);
__asm__(".text\nrestore: mov $15, %eax\nsyscall\n");

static int hits, ready, stop;
static void hit(int sig) {
    __atomic_add_fetch(&hits, sig == 10, __ATOMIC_SEQ_CST);
}

static void wait_for_signals(void* arg) {
    ready = 1;
    struct {
        long s, n;
    } t = {0, 1000000};
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) sys(NR_nanosleep, &t, 0, 0);
}

int guest_main(long argc, char** argv, char** envp) {
    if (argc == 2) {
        say("second life\n");
        return 12;
    }
    struct action a = {hit, 0x04000000, restore, 0};
    CHECK(sys4(NR_rt_sigaction, 10, &a, 0, 8) == 0);
    long pid = sys(NR_getpid, 0, 0, 0);
    CHECK(sys(NR_kill, pid, 10, 0) == 0);
    CHECK(hits == 1);
    static struct raw_thread t;
    raw_start(&t, wait_for_signals, 0);
    while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST)) sys(NR_sched_yield, 0, 0, 0);
    for (int i = 0; i < 10; i++) {
        CHECK(sys(NR_tgkill, pid, t.tid, 10) == 0);
        while (__atomic_load_n(&hits, __ATOMIC_SEQ_CST) < 2 + i) sys(NR_sched_yield, 0, 0, 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    raw_join(&t);
    long child = sys(NR_fork, 0, 0, 0);
    CHECK(child >= 0);
    if (child == 0) {
        char* args[] = {argv[0], "again", 0};
        sys(NR_execve, argv[0], args, envp);
        sys(NR_exit_group, 99, 0, 0);
    }
    int status = 0;
    CHECK(sys4(NR_wait4, child, &status, 0, 0) == child);
    CHECK(status == 12 << 8);
    child = sys(NR_fork, 0, 0, 0);
    if (child == 0) {
        *(volatile int*)8 = 1;
        sys(NR_exit_group, 98, 0, 0);
    }
    CHECK(sys4(NR_wait4, child, &status, 0, 0) == child);
    CHECK((status & 0x7f) == 11);
    say_number("hits ", hits);
    return 0;
}
