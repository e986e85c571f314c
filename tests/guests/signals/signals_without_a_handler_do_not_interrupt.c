// signals_without_a_handler_do_not_interrupt.c - ignored, blocked and ignored-by-default signals leave waits alone.
#include <poll.h>

#include "check.h"

static int fds[2];
static _Atomic int ended;

static void* wait_read(void* arg) {
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    ended++;
    return NULL;
}

static void* wait_sleep(void* arg) {
    struct timespec t = timespec_of(ms(300));
    CHECK_OK(nanosleep(&t, NULL));
    struct pollfd p = {fds[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 300), 0);
    ended++;
    return NULL;
}

int main(void) {
    make_pipe(fds);
    signal(SIGUSR1, SIG_IGN);
    handle(SIGUSR2, ignore_signal_number, 0);
    block_signal(SIGUSR2);
    pthread_t a = start(wait_read, NULL), b = start(wait_sleep, NULL);
    for (int i = 0; i < 20; i++) {
        int sigs[] = {SIGUSR1, SIGUSR2, SIGWINCH, SIGURG, SIGCHLD, SIGCONT};
        for (int s = 0; s < 6; s++) {
            CHECK_OK(kill(getpid(), sigs[s]));
            CHECK_0(pthread_kill(a, sigs[s]));
        }
        sleep_ms(5);
    }
    finish(b);
    CHECK_EQ(ended, 1);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    finish(a);
    say("ended %d", ended);
}
