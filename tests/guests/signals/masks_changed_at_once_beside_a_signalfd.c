// TEST: timeout=60
// masks_changed_at_once_beside_a_signalfd.c - while a signalfd waits for a signal, two threads change their masks at the same moment;
// where both have ended, the signal goes to the thread that takes it, or to the descriptor when nobody does.
#include <poll.h>
#include <sys/signalfd.h>

#include "check.h"

enum { kRounds = 200 };
static pthread_barrier_t both;
static _Atomic int handled;

static void on_signal(int sig) { handled++; }

static void* toggles(void* arg) {
    for (int i = 0; i < kRounds; i++) {
        pthread_barrier_wait(&both);
        unblock_signal(SIGUSR1);
        block_signal(SIGUSR1);
        if ((i & 1) == (long)arg) unblock_signal(SIGUSR1);
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
        block_signal(SIGUSR1);
        pthread_barrier_wait(&both);
    }
    return NULL;
}

int main(void) {
    handle(SIGUSR1, on_signal, 0);
    block_signal(SIGUSR1);
    sigset_t set = signal_set(SIGUSR1, 0);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK_OK(fd);
    CHECK_0(pthread_barrier_init(&both, NULL, 3));
    pthread_t a = start(toggles, (void*)0), b = start(toggles, (void*)1);
    for (int i = 0; i < kRounds; i++) {
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
        // One of them does not block it now.
        handled = 0;
        CHECK_OK(kill(getpid(), SIGUSR1));
        long long end = now_ns() + ms(10000);
        while (!handled && now_ns() < end) sched_yield();
        CHECK_EQ(handled, 1);
        pthread_barrier_wait(&both);
        pthread_barrier_wait(&both);
        // Now everybody does.
        CHECK_OK(kill(getpid(), SIGUSR1));
        struct pollfd p = {fd, POLLIN, 0};
        CHECK_EQ(poll(&p, 1, 10000), 1);
        struct signalfd_siginfo info;
        CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
        CHECK_EQ(handled, 1);
    }
    finish(a);
    finish(b);
    say("every signal came where it belongs");
}
