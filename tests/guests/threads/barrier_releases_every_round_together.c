// barrier_releases_every_round_together.c - 500 threads, 10 rounds, one serial thread in each.
#include "check.h"

enum { N = 500, ROUNDS = 10 };
static pthread_barrier_t barrier;
static _Atomic int arrived[ROUNDS], serial[ROUNDS];

static void* rounds(void* arg) {
    for (int r = 0; r < ROUNDS; r++) {
        arrived[r]++;
        int e = pthread_barrier_wait(&barrier);
        CHECK(e == 0 || e == PTHREAD_BARRIER_SERIAL_THREAD);
        if (e) serial[r]++;
        CHECK_EQ(arrived[r], N);
    }
    return NULL;
}

int main(void) {
    static pthread_t t[N];
    CHECK_0(pthread_barrier_init(&barrier, NULL, N));
    for (int i = 0; i < N; i++) t[i] = start(rounds, NULL);
    for (int i = 0; i < N; i++) finish(t[i]);
    for (int r = 0; r < ROUNDS; r++) CHECK_EQ(serial[r], 1);
    CHECK_0(pthread_barrier_destroy(&barrier));
    say("%d rounds", ROUNDS);
}
