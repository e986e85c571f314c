// threads.c - four threads that compute, meeting at barriers: usage: threads MILLIONS; prints a checksum
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kThreads = 4, kRounds = 10 };
static uint64_t result[kThreads], last[kThreads];
static long steps;
static pthread_barrier_t barrier;

static void* compute(void* arg) {
    long me = (long)arg;
    uint64_t x = 88172645463325252ull + me;
    for (int r = 0; r < kRounds; r++) {
        for (long i = 0; i < steps / kRounds; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        pthread_barrier_wait(&barrier);
        result[me] = x;
        pthread_barrier_wait(&barrier);
        x += result[(me + 1) % kThreads];
    }
    last[me] = x;
    return NULL;
}

int main(int argc, char** argv) {
    steps = (argc > 1 ? atol(argv[1]) : 100) * 1000000;
    pthread_t t[kThreads];
    pthread_barrier_init(&barrier, NULL, kThreads);
    for (long i = 0; i < kThreads; i++) pthread_create(&t[i], NULL, compute, (void*)i);
    for (int i = 0; i < kThreads; i++) pthread_join(t[i], NULL);
    uint64_t sum = 0;
    for (int i = 0; i < kThreads; i++) sum = sum * 31 + last[i];
    printf("%016llx\n", (unsigned long long)sum);
    return 0;
}
