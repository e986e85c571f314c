// queued_signals_go_to_all_who_await_them.c - two signals for the process, sent at once, end the sigwait of two threads, of which neither
// waits again before the other has got its signal.
#include "check.h"

static pthread_barrier_t both;

static void* await(void* arg) {
    sigset_t set = signal_set(SIGRTMIN, 0);
    int sig;
    CHECK_0(sigwait(&set, &sig));
    CHECK_EQ(sig, SIGRTMIN);
    pthread_barrier_wait(&both);
    return NULL;
}

int main(void) {
    block_signal(SIGRTMIN);
    pthread_barrier_init(&both, NULL, 2);
    for (int round = 0; round < 20; round++) {
        pthread_t first = start(await, NULL), second = start(await, NULL);
        settle();
        CHECK_OK(kill(getpid(), SIGRTMIN));
        CHECK_OK(kill(getpid(), SIGRTMIN));
        finish(first);
        finish(second);
    }
    say("ok");
}
