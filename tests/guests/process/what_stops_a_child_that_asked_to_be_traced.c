// what_stops_a_child_that_asked_to_be_traced.c - PTRACE_TRACEME without an exec: signals that it sends itself, faults, breakpoints and timers
// stop it; its calls do not, and its own child is not traced. (A signal that it ignores is a stop natively only.)
#include <sys/ptrace.h>

#include "../check.h"

static volatile sig_atomic_t handled;
static void handler(int sig) { handled = sig; }
static volatile int* nowhere;


static int stop(pid_t child) {
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : WIFEXITED(status) ? 1000 + WEXITSTATUS(status) : 2000 + WTERMSIG(status);
}
static void go_on(pid_t child, int sig) { CHECK_EQ(ptrace(PTRACE_CONT, child, NULL, (void*)(long)sig), 0); }

static pid_t traced(void (*what)(void)) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL)) _exit(90);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM) _exit(91);
        for (int i = 0; i < 50; i++) {
            int p[2];
            if (pipe(p) || close(p[0]) || close(p[1])) _exit(92);
        }
        what();
        _exit(5);
    }
    return child;
}

static void stops(void) {
    raise(SIGSTOP);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != -1 || errno != EPERM) _exit(98);
}
static void kills(void) {
    if (kill(getpid(), SIGUSR1) || handled != SIGUSR1) _exit(93);
}
static void breaks(void) { __asm__ volatile("int3"); }
static void faults(void) {
    volatile int* p = nowhere;
    *p = 1;
}
static void timed(void) {
    struct itimerval soon = {{0, 0}, {0, 1000}};
    if (setitimer(ITIMER_REAL, &soon, NULL)) _exit(94);
    while (handled != SIGALRM)
        if (getppid() == 1) _exit(95);
}
static void forks(void) {
    pid_t child = fork();
    if (child == 0) {
        raise(SIGTERM);
        _exit(96);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) _exit(97);
    raise(SIGSTOP);
}
static void is_illegal(void) { __asm__ volatile("ud2"); }

int main(void) {
    for (int i = 0; i < 3; i++) CHECK(signal((int[]){SIGUSR1, SIGALRM, SIGCHLD}[i], handler) != SIG_ERR);
    pid_t c = traced(stops);
    CHECK_EQ(stop(c), SIGSTOP);
    go_on(c, 0);
    CHECK_EQ(stop(c), 1005);

    c = traced(kills);
    CHECK_EQ(stop(c), SIGUSR1);
    go_on(c, SIGUSR1);
    CHECK_EQ(stop(c), 1005);

    c = traced(breaks);
    CHECK_EQ(stop(c), SIGTRAP);
    go_on(c, 0);
    CHECK_EQ(stop(c), 1005);

    c = traced(faults);
    CHECK_EQ(stop(c), SIGSEGV);
    CHECK_EQ(kill(c, SIGKILL), 0);
    CHECK_EQ(stop(c), 2000 + SIGKILL);

    c = traced(is_illegal);
    CHECK_EQ(stop(c), SIGILL);
    CHECK_EQ(kill(c, SIGKILL), 0);
    CHECK_EQ(stop(c), 2000 + SIGKILL);

    c = traced(timed);
    CHECK_EQ(stop(c), SIGALRM);
    go_on(c, SIGALRM);
    CHECK_EQ(stop(c), 1005);

    c = traced(forks);
    CHECK_EQ(stop(c), SIGCHLD);
    go_on(c, SIGCHLD);
    CHECK_EQ(stop(c), SIGSTOP);
    go_on(c, 0);
    CHECK_EQ(stop(c), 1005);
    say("ok");
}
