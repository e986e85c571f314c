// namespaces_of_clone3.c - clone3 makes a process in a new time namespace; a thread in a new pid or user namespace is refused.
// TEST: needs=root
#include <linux/sched.h>

#include "check.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

int main(void) {
    struct clone_args a = {.flags = CLONE_NEWTIME, .exit_signal = SIGCHLD};
    pid_t child = (pid_t)syscall(SYS_clone3, &a, sizeof a);
    CHECK_OK(child);
    if (child == 0) _exit(3);
    CHECK_EXIT(child, 3);
    static char stack[65536];
    const unsigned long namespaces[] = {CLONE_NEWPID, CLONE_NEWUSER};
    for (int i = 0; i < 2; i++) {
        struct clone_args t = {.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | namespaces[i],
                               .stack = (uintptr_t)stack, .stack_size = sizeof stack};
        CHECK_ERR(syscall(SYS_clone3, &t, sizeof t), EINVAL);
    }
    say("ok");
}
