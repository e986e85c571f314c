// clone3_makes_processes_and_threads.c - the raw call: as fork with a pidfd, errors for wrong sizes; pthreads use it
// too.
#include <linux/sched.h>
#include <poll.h>

#include "check.h"

int main(void) {
    int fd = -1;
    pid_t tid = -1;
    struct clone_args args = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
                              .pidfd = (uintptr_t)&fd,
                              .parent_tid = (uintptr_t)&tid,
                              .exit_signal = SIGCHLD};
    pid_t p = syscall(SYS_clone3, &args, sizeof args);
    CHECK_OK(p);
    if (p == 0) _exit(33);
    CHECK_EQ(tid, p);
    struct pollfd poll_fd = {fd, POLLIN, 0};
    CHECK_EQ(poll(&poll_fd, 1, -1), 1);
    CHECK_EXIT(p, 33);
    CHECK_ERR(syscall(SYS_clone3, &args, 8), EINVAL);
    CHECK_ERR(syscall(SYS_clone3, (void*)8, sizeof args), EFAULT);
    args.flags = CLONE_THREAD;
    CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.exit_signal = 65};
    CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args = (struct clone_args){.exit_signal = SIGCHLD, .stack = 0x1000};
    CHECK_ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    say("ok");
}
