// a_program_traced_call_by_call_goes_on.c - a child stopped by its tracer at each system call's begin and end, with thread-local
// memory in use, comes to its end.
#include <sys/ptrace.h>

#include "check.h"

static __thread volatile int own = 5;

static void child(void) {
    CHECK_OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
    CHECK_OK(raise(SIGSTOP));
    for (int i = 0; i < 50; i++) {
        CHECK(getppid() > 0);
        own = own + 1;
        CHECK_ERR(close(-1), EBADF);  // errno is thread-local
    }
    _exit(own == 55 ? 7 : 1);
}

int main(void) {
    pid_t pid = fork();
    if (!pid) child();
    int status, signal = 0;
    long stops = 0;
    // What is no stop of the test's own is passed on.
    for (;;) {
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFSTOPPED(status));
        if (WSTOPSIG(status) == SIGSTOP) break;
        CHECK_OK(ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status)));
    }
    CHECK_OK(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    for (;;) {
        CHECK_OK(ptrace(PTRACE_SYSCALL, pid, 0, signal));
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        if (!WIFSTOPPED(status)) break;
        signal = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        stops++;
    }
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 7);
    CHECK(stops > 200);
    say("ok");
}
