// epoll_pwait_that_does_not_wait_takes_no_signal.c - with a time of 0 the mask lets no handler run, though a signal is pending.
#include <sys/epoll.h>

#include "check.h"

static volatile sig_atomic_t handled;

static void count(int sig) { handled += sig == SIGUSR1; }
static void* pauses(void* arg) {
    for (;;) pause();
    return arg;
}

int main(void) {
    block_signal(SIGUSR1);
    start(pauses, NULL);
    handle(SIGUSR1, count, 0);
    CHECK_0(pthread_kill(pthread_self(), SIGUSR1));
    int ep = epoll_create1(0);
    struct epoll_event event;
    sigset_t none = signal_set(0, 0);
    struct timespec now = {0, 0};
    CHECK_EQ(epoll_pwait(ep, &event, 1, 0, &none), 0);
    CHECK_EQ(syscall(SYS_epoll_pwait2, ep, &event, 1, &now, &none, 8), 0);
    CHECK_EQ(handled, 0);
    CHECK_ERR(epoll_pwait(ep, &event, 1, 1000, &none), EINTR);
    CHECK_EQ(handled, 1);
    say("ok");
}
