// ignored_sigchld_reaps_children.c - SIG_IGN and SA_NOCLDWAIT leave no zombies, wait blocks until all are gone:
// ECHILD.
#include "check.h"

static _Atomic int handled;
static void count(int sig) {
    handled++;
}

static void spawn(int n) {
    for (int i = 0; i < n; i++) {
        pid_t p = fork();
        CHECK_OK(p);
        if (p == 0) {
            sleep_ms(20);
            _exit(i);
        }
    }
}

int main(void) {
    signal(SIGCHLD, SIG_IGN);
    spawn(5);
    CHECK_ERR(wait(NULL), ECHILD);
    handle(SIGCHLD, count, SA_NOCLDWAIT | SA_RESTART);
    spawn(3);
    CHECK_ERR(wait(NULL), ECHILD);
    while (handled < 1) sleep_ms(1);
    handle(SIGCHLD, count, SA_NOCLDSTOP | SA_RESTART);
    handled = 0;
    pid_t p = fork();
    if (p == 0)
        for (;;) pause();
    CHECK_OK(kill(p, SIGSTOP));
    int status;
    CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
    settle();
    CHECK_EQ(handled, 0);
    CHECK_OK(kill(p, SIGKILL));
    CHECK_KILLED(p, SIGKILL);
    while (handled < 1) sleep_ms(1);
    say("ok");
}
