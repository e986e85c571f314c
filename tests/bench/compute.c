// compute.c - four threads that only compute: how long until all have done their share
#include "bench.h"

static void* work(void* arg) {
    unsigned long x = (unsigned long)arg + 88172645463325252ul, sum = 0;
    for (long i = 0; i < 150000000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        sum += x;
    }
    return (void*)sum;
}

int main(void) {
    pthread_t t[4];
    double begin = now_ns();
    for (long i = 0; i < 4; i++) must(pthread_create(&t[i], NULL, work, (void*)i) == 0, "pthread_create");
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    result("compute_4", (now_ns() - begin) / 1e6, "ms");
    return 0;
}
