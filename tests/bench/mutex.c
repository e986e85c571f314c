// mutex.c - 64 threads and one mutex with a short section: sections a second, each thread counted for 0.5 s
#include <stdatomic.h>

#include "bench.h"

enum { THREADS = 64 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t ready;
static volatile long shared;
static atomic_int over;
static long done[THREADS];

static void* contend(void* arg) {
    long n = 0;
    pthread_barrier_wait(&ready);
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        pthread_mutex_lock(&mutex);
        for (int i = 0; i < 20; i++) shared++;
        pthread_mutex_unlock(&mutex);
        n++;
    }
    done[(long)arg] = n;
    return NULL;
}

int main(void) {
    pthread_t t[THREADS];
    pthread_barrier_init(&ready, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) must(pthread_create(&t[i], NULL, contend, (void*)i) == 0, "pthread_create");
    pthread_barrier_wait(&ready);
    double begin = now_ns();
    usleep(500000);
    atomic_store(&over, 1);
    long sum = 0;
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    double seconds = (now_ns() - begin) / 1e9;
    for (int i = 0; i < THREADS; i++) sum += done[i];
    must(shared == sum * 20, "a section was lost");
    result("mutex_64", sum / seconds, "sections/s");
    return 0;
}
