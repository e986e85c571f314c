// A child asks to be traced and executes; its parent first reads a close-on-exec pipe to the end (as debuggers do that want the
// errno of a failed exec) and only then waits. Until its exec no call of the child may stop it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

int main(void) {
    int p[2];
    CHECK(pipe2(p, O_CLOEXEC) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(8);
        execl("/bin/true", "true", (char*)0);
        _exit(9);
    }
    close(p[1]);
    char b;
    CHECK(read(p[0], &b, 1) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
