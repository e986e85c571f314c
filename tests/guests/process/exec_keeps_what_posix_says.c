// exec_keeps_what_posix_says.c - over exec: pid, mask, ignored and pending signals, open descriptors, nice; not
// handlers or alarms' handlers.
// TEST: link=dynamic,static
#include "check.h"

static void handler(int sig) {}

static int second_life(char** argv) {
    sigset_t mask, pending;
    struct sigaction a;
    CHECK_EQ(getpid(), atoi(argv[2]));
    CHECK_EQ(gettid(), getpid());
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    CHECK(sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGRTMIN) && !sigismember(&mask, SIGUSR2));
    for (int sig = 1; sig < 65; sig++) {
        if (sig == 32 || sig == 33) continue;
        CHECK_EQ(sigismember(&mask, sig), sig == SIGUSR1 || sig == SIGRTMIN);
    }
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN) && !sigismember(&pending, SIGTERM));
    CHECK_OK(sigaction(SIGHUP, NULL, &a));
    CHECK(a.sa_handler == SIG_IGN);
    CHECK_OK(sigaction(SIGTERM, NULL, &a));
    CHECK(a.sa_handler == SIG_DFL);
    CHECK_EQ(fcntl(70, F_GETFD), 0);
    CHECK_ERR(fcntl(71, F_GETFD), EBADF);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 3);
    struct itimerval left;
    CHECK_OK(getitimer(ITIMER_REAL, &left));
    CHECK(left.it_value.tv_sec > 900);
    stack_t stack;
    CHECK_OK(sigaltstack(NULL, &stack));
    CHECK_EQ(stack.ss_flags, SS_DISABLE);
    siginfo_t info;
    sigset_t wait_set = signal_set(SIGRTMIN, 0);
    CHECK_EQ(sigwaitinfo(&wait_set, &info), SIGRTMIN);
    CHECK_EQ(info.si_value.sival_int, 1234);
    CHECK_ERR(waitpid(-1, NULL, WNOHANG), ECHILD);
    say("ok");
    return 0;
}

int main(int argc, char** argv) {
    if (argc > 1) return second_life(argv);
    char pid[16], self[4096] = {0};
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    snprintf(pid, sizeof pid, "%d", getpid());
    handle(SIGTERM, handler, 0);
    signal(SIGHUP, SIG_IGN);
    block_signal(SIGUSR1);
    sigset_t s = signal_set(SIGRTMIN, 0);
    CHECK_OK(sigprocmask(SIG_BLOCK, &s, NULL));
    CHECK_OK(raise(SIGUSR1));
    CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1234}));
    CHECK_EQ(dup2(1, 70), 70);
    CHECK_EQ(dup3(1, 71, O_CLOEXEC), 71);
    CHECK_OK(setpriority(PRIO_PROCESS, 0, 3));
    struct itimerval far = {{0, 0}, {1000, 0}};
    CHECK_OK(setitimer(ITIMER_REAL, &far, NULL));
    static char alt[65536];
    stack_t stack = {.ss_sp = alt, .ss_size = sizeof alt};
    CHECK_OK(sigaltstack(&stack, NULL));
    execl(self, "name", "again", pid, NULL);
    CHECK(!"reached");
}
