// faults_that_cannot_be_handled_kill.c - a fault while its signal is blocked or ignored, or inside its handler, ends
// the process.
#include "check.h"

static void again(int sig) {
    *(volatile int*)16 = 1;
}

static pid_t faulting(int how) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (how == 0) signal(SIGSEGV, SIG_IGN);
        if (how == 1) {
            handle(SIGSEGV, ignore_signal_number, 0);
            block_signal(SIGSEGV);
        }
        if (how == 2) handle(SIGSEGV, again, 0);
        if (how == 3) {
            handle(SIGABRT, ignore_signal_number, 0);
            abort();
        }
        if (how == 4) {
            stack_t stack = {.ss_sp = (void*)16, .ss_size = 65536};  // no memory there
            sigaltstack(&stack, NULL);
            handle(SIGSEGV, again, SA_ONSTACK);
        }
        if (how == 5) {
            handle(SIGUSR1, again, SA_ONSTACK);
            stack_t stack = {.ss_sp = (void*)16, .ss_size = 65536};
            sigaltstack(&stack, NULL);
            raise(SIGUSR1);
        }
        *(volatile int*)16 = 1;
        _exit(0);
    }
    return p;
}

int main(void) {
    for (int how = 0; how < 6; how++) {
        int status = status_of(faulting(how));
        say("%d: signal %d", how, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}
