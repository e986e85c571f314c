// pidfds_poll_signal_and_wait.c - pidfd_open, pidfd_send_signal, waitid(P_PIDFD) in threads, pidfd_getfd.
#include <poll.h>

#include "check.h"

static int fd;

static void* poll_it(void* arg) {
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    return NULL;
}

static void* wait_for_it(void* arg) {
    siginfo_t info;
    CHECK_OK(waitid((idtype_t)3, fd, &info, WEXITED));
    CHECK_EQ(info.si_status, SIGTERM);
    return NULL;
}

int main(void) {
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0)
        for (;;) pause();
    fd = syscall(SYS_pidfd_open, child, 0);
    CHECK_OK(fd);
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 20), 0);
    pthread_t a = start(poll_it, NULL), b = start(wait_for_it, NULL);
    settle();
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    CHECK_OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    finish(a);
    finish(b);
    CHECK_ERR(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
    CHECK_ERR(syscall(SYS_pidfd_open, -1, 0), EINVAL);
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    CHECK_OK(self);
    handle(SIGUSR1, ignore_signal_number, 0);
    CHECK_OK(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
    say("ok");
}
