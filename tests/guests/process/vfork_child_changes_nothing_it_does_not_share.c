// vfork_child_changes_nothing_it_does_not_share.c - descriptors, dispositions, mask, directory of the parent stay its
// own.
#include "check.h"

static void handler(int sig) {}

int main(void) {
    int fds[2];
    struct sigaction now;
    sigset_t mask;
    char before[4096], after[4096];
    make_pipe(fds);
    handle(SIGUSR1, handler, 0);
    CHECK(getcwd(before, sizeof before));
    pid_t p = vfork();
    if (p == 0) {
        close(fds[0]);
        dup2(fds[1], 50);
        signal(SIGUSR1, SIG_DFL);
        signal(SIGUSR2, SIG_IGN);
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        _exit(chdir("/") || write(fds[1], "from child", 10) != 10);
    }
    CHECK_OK(p);
    CHECK_EXIT(p, 0);
    char text[32];
    CHECK_EQ(read(fds[0], text, sizeof text), 10);
    CHECK_ERR(fcntl(50, F_GETFD), EBADF);
    CHECK_OK(sigaction(SIGUSR1, NULL, &now));
    CHECK(now.sa_handler == handler);
    CHECK_OK(sigaction(SIGUSR2, NULL, &now));
    CHECK(now.sa_handler == SIG_DFL);
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    CHECK(!sigismember(&mask, SIGTERM));
    CHECK(getcwd(after, sizeof after));
    CHECK(strcmp(before, after) == 0);
    CHECK_OK(raise(SIGUSR1));
    say("ok");
}
