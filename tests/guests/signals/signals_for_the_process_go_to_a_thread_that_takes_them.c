// signals_for_the_process_go_to_a_thread_that_takes_them.c - different masks: the one thread that does not block a
// signal gets it.
#include "check.h"

static __thread int me = -1;
static volatile int got[4], hits;
static pthread_barrier_t barrier;
static volatile int stop;

static void hit(int sig) {
    CHECK_EQ(sig - SIGRTMIN, me);
    got[me]++;
    hits++;
}

static void* take_one_kind(void* arg) {
    sigset_t mask;
    me = (int)(long)arg;
    sigfillset(&mask);
    sigdelset(&mask, SIGRTMIN + me);
    CHECK_0(pthread_sigmask(SIG_SETMASK, &mask, NULL));
    pthread_barrier_wait(&barrier);
    while (!stop) {
        if (me % 2) {
            sleep_ms(1);
        } else {
            pause();
        }
    }
    return NULL;
}

int main(void) {
    pthread_t t[4];
    sigset_t all;
    sigfillset(&all);
    CHECK_0(pthread_sigmask(SIG_SETMASK, &all, NULL));
    pthread_barrier_init(&barrier, NULL, 5);
    for (int i = 0; i < 4; i++) handle(SIGRTMIN + i, hit, SA_RESTART);
    for (long i = 0; i < 4; i++) t[i] = start(take_one_kind, (void*)i);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 200; i++) CHECK_OK(kill(getpid(), SIGRTMIN + i % 4));
    for (int i = 0; i < 4; i++)
        while (got[i] < 50) sleep_ms(1);
    stop = 1;
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(got[i], 50);
        // It may have been about to pause.
        do CHECK_0(pthread_kill(t[i], SIGRTMIN + i));
        while (sleep_ms(1), pthread_tryjoin_np(t[i], NULL));
    }
    say("ok");
}
