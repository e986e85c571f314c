// signalfd_reads_what_is_pending.c - blocking reads, poll, records of several signals, from processes and threads.
#include <poll.h>
#include <sys/signalfd.h>

#include "check.h"

static int fd;

static void* read_one(void* arg) {
    struct signalfd_siginfo info;
    CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    CHECK_EQ(info.ssi_pid, getpid());
    return NULL;
}

int main(void) {
    sigset_t set = signal_set(SIGUSR1, SIGRTMIN + 1);
    struct signalfd_siginfo infos[8];
    CHECK_0(pthread_sigmask(SIG_BLOCK, &set, NULL));
    CHECK_OK(fd = signalfd(-1, &set, SFD_CLOEXEC));
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 20), 0);
    pthread_t t = start(read_one, NULL);
    settle();
    CHECK_OK(kill(getpid(), SIGUSR1));
    finish(t);
    for (int i = 0; i < 3; i++) CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}));
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(read(fd, infos, sizeof infos), 3 * sizeof *infos);
    for (int i = 0; i < 3; i++)
        say("RT %d, value %d, code %d", infos[i].ssi_signo - SIGRTMIN, infos[i].ssi_int, infos[i].ssi_code);
    CHECK_OK(raise(SIGUSR1));  // to this thread only
    CHECK_EQ(read(fd, infos, sizeof infos), sizeof *infos);
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(read(fd, infos, sizeof infos), EAGAIN);
    CHECK_ERR(read(fd, infos, 5), EINVAL);
    sigset_t more = signal_set(SIGCHLD, 0);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &more, NULL));
    CHECK_EQ(signalfd(fd, &more, 0), fd);
    pid_t child = fork();
    if (child == 0) _exit(6);
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(read(fd, infos, sizeof infos), sizeof *infos);
    CHECK(infos[0].ssi_signo == SIGCHLD && infos[0].ssi_pid == (uint32_t)child && infos[0].ssi_status == 6);
    CHECK_EXIT(child, 6);
    say("ok");
}
