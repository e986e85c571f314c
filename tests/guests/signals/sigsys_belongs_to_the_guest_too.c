// sigsys_belongs_to_the_guest_too.c - SIGSYS may be handled, blocked, ignored, raised, waited for, like any other
// signal.
// TEST: link=dynamic,static
#include "check.h"

static volatile int hits;
static void hit(int sig, siginfo_t* info, void* context) {
    CHECK_EQ(sig, SIGSYS);
    CHECK_EQ(info->si_code, SI_TKILL);
    CHECK_EQ(info->si_pid, getpid());
    hits++;
}

int main(void) {
    sigset_t now, pending, only = signal_set(SIGSYS, 0), full;
    handle_info(SIGSYS, hit, 0);
    CHECK_OK(raise(SIGSYS));
    CHECK_EQ(hits, 1);
    block_signal(SIGSYS);
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGSYS));
    struct timespec t = timespec_of(ms(5));
    CHECK_OK(nanosleep(&t, NULL));  // calls still work
    CHECK_OK(raise(SIGSYS));
    CHECK_EQ(hits, 1);
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGSYS));
    CHECK_EQ(sigwaitinfo(&only, NULL), SIGSYS);
    CHECK_OK(raise(SIGSYS));
    unblock_signal(SIGSYS);
    CHECK_EQ(hits, 2);
    sigfillset(&full);
    CHECK_OK(sigprocmask(SIG_SETMASK, &full, NULL));
    CHECK_OK(nanosleep(&t, NULL));
    CHECK_OK(sigprocmask(SIG_SETMASK, NULL, &now));
    CHECK(sigismember(&now, SIGSYS) && sigismember(&now, SIGSEGV) && !sigismember(&now, SIGKILL));
    sigemptyset(&full);
    CHECK_OK(sigprocmask(SIG_SETMASK, &full, NULL));
    CHECK(signal(SIGSYS, SIG_IGN) != SIG_ERR);
    CHECK_OK(raise(SIGSYS));
    CHECK_OK(nanosleep(&t, NULL));
    CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
    CHECK_OK(nanosleep(&t, NULL));
    pid_t p = fork();
    if (p == 0) {
        raise(SIGSYS);
        _exit(1);
    }
    CHECK_KILLED(p, SIGSYS);
    say("ok");
}
