// groups_sessions_and_orphans.c - setpgid, setsid, double fork, subreaper, PDEATHSIG, kill of a group.
#include <sys/prctl.h>

#include "check.h"

static int hits;
static void hit(int sig) {
    hits++;
}

int main(void) {
    int fds[2];
    char c;
    make_pipe(fds);
    CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        pid_t me = setsid();
        CHECK_EQ(me, getpid());
        CHECK_EQ(getsid(0), me);
        CHECK_EQ(getpgrp(), me);
        CHECK_ERR(setsid(), EPERM);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            close(fds[0]);
            while (getppid() == me) sleep_ms(1);
            CHECK_EQ(write(fds[1], "r", 1), 1);
            _exit(14);
        }
        _exit(13);
    }
    CHECK_EXIT(p, 13);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    int status;
    CHECK(wait(&status) > 0);  // the orphan came here
    CHECK_EQ(WEXITSTATUS(status), 14);

    p = fork();
    if (p == 0) {
        handle(SIGUSR1, hit, 0);
        setpgid(0, 0);
        for (int i = 0; i < 3; i++)
            if (fork() == 0) {
                write(fds[1], "x", 1);
                for (;;) pause();
            }
        for (int i = 0; i < 3; i++) CHECK_EQ(read(fds[0], &c, 1), 1);
        signal(SIGTERM, SIG_IGN);
        CHECK_OK(kill(0, SIGTERM));
        for (int i = 0; i < 3; i++) {
            CHECK(wait(&status) > 0);
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        }
        _exit(0);
    }
    CHECK_EXIT(p, 0);

    p = fork();
    if (p == 0) {  // its child hears of its death
        if (fork() == 0) {
            handle(SIGUSR2, hit, 0);
            block_signal(SIGUSR2);
            CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR2));
            int sig = 0;
            CHECK_OK(prctl(PR_GET_PDEATHSIG, &sig));
            CHECK_EQ(sig, SIGUSR2);
            CHECK_EQ(write(fds[1], "x", 1), 1);
            sigset_t s = signal_set(SIGUSR2, 0);
            CHECK_0(sigwait(&s, &sig));
            CHECK_EQ(write(fds[1], "d", 1), 1);
            _exit(0);
        }
        CHECK_EQ(read(fds[0], &c, 1), 1);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(c, 'd');
    CHECK(wait(&status) > 0);
    CHECK_ERR(kill(0x3ffffff, 0), ESRCH);
    CHECK_ERR(kill(getpid(), 65), EINVAL);
    CHECK_OK(kill(getpid(), 0));
    say("ok");
}
