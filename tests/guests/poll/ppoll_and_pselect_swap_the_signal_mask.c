// ppoll_and_pselect_swap_the_signal_mask.c - a pending blocked signal ends the wait at once; the old mask is back
// after.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "check.h"

static int handled;
static void count(int sig) {
    handled++;
}

static void check_mask(void) {
    sigset_t now;
    CHECK_0(pthread_sigmask(SIG_SETMASK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2) && !sigismember(&now, SIGTERM));
}

static void* all(void* arg) {
    sigset_t open_mask = signal_set(SIGUSR2, 0);
    struct timespec t = {50, 0};
    struct epoll_event event;
    int fds[2], e = epoll_create1(0);
    make_pipe(fds);
    struct pollfd p = {fds[0], POLLIN, 0};
    int before = handled;
    for (int i = 0; i < 4; i++) {
        CHECK_0(pthread_kill(pthread_self(), SIGUSR1));
        CHECK_EQ(handled, before + i);
        switch (i) {
            case 0:
                CHECK_ERR(ppoll(&p, 1, &t, &open_mask), EINTR);
                break;
            case 1:
                CHECK_ERR(pselect(0, NULL, NULL, NULL, &t, &open_mask), EINTR);
                break;
            case 2:
                CHECK_ERR(epoll_pwait(e, &event, 1, 50000, &open_mask), EINTR);
                break;
            case 3:
                CHECK_ERR(epoll_pwait2(e, &event, 1, &t, &open_mask), EINTR);
                break;
        }
        CHECK_EQ(handled, before + i + 1);
        check_mask();
    }
    // something is ready already: Linux returns it, and delivers the signal only if it did wait
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(ppoll(&p, 1, &t, &open_mask), 1);
    check_mask();
    close(fds[0]);
    close(fds[1]);
    close(e);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, count, SA_RESTART);
    block_signal(SIGUSR1);
    block_signal(SIGUSR2);
    all(NULL);
    finish(start(all, NULL));
    say("handled %d", handled);
}
