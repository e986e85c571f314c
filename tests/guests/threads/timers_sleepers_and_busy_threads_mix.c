// timers_sleepers_and_busy_threads_mix.c - threads in sleeps, pipes, condvars and computations all make progress
// together.
#include "check.h"

enum { GROUPS = 10 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int generation;
static int fds[GROUPS][2];

static void* sleeper(void* arg) {
    for (int i = 0; i < 20; i++) sleep_ms(1 + (long)arg % 3);
    return NULL;
}
static void* writer(void* arg) {
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(write(fds[(long)arg][1], &i, sizeof i), sizeof i);
        if (i % 10 == 0) sleep_ms(1);
    }
    close(fds[(long)arg][1]);
    return NULL;
}
static void* reader(void* arg) {
    int got, want = 0;
    while (read(fds[(long)arg][0], &got, sizeof got) > 0) CHECK_EQ(got, want++);
    CHECK_EQ(want, 50);
    return NULL;
}
static void* waiter(void* arg) {
    pthread_mutex_lock(&mutex);
    while (generation < 30) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return NULL;
}
static void* ticker(void* arg) {
    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(&mutex);
        generation++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
        sleep_ms(2);
    }
    return NULL;
}
static void* compute(void* arg) {
    double x = 1 + (long)arg;
    for (int i = 0; i < 200000; i++) {
        x = x * 1.0000001 + 1e-9;
        if (i % 50000 == 0) sched_yield();
    }
    double* result = malloc(sizeof *result);
    *result = x;
    return result;
}

int main(void) {
    thread_function kinds[] = {sleeper, writer, reader, waiter, ticker, compute};
    enum { K = 6 };
    pthread_t t[GROUPS][K];
    for (long g = 0; g < GROUPS; g++) make_pipe(fds[g]);
    for (long g = 0; g < GROUPS; g++)
        for (int k = 0; k < K; k++) t[g][k] = start(kinds[k], (void*)g);
    for (int g = 0; g < GROUPS; g++)
        for (int k = 0; k < K; k++) {
            void* r = finish(t[g][k]);
            if (r) say("%.9f", *(double*)r);
        }
}
