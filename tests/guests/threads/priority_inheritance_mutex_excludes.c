// priority_inheritance_mutex_excludes.c - PTHREAD_PRIO_INHERIT mutexes: exclusion, time-outs, trylock, owner death.
#include "check.h"

static pthread_mutex_t mutex, robust;
static long counter;

static void* count(void* arg) {
    for (int i = 0; i < 50; i++) {
        CHECK_0(pthread_mutex_lock(&mutex));
        long seen = counter;
        if (i % 10 == 0) sched_yield();
        counter = seen + 1;
        CHECK_0(pthread_mutex_unlock(&mutex));
    }
    return NULL;
}

static void* times_out(void* arg) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(50));
    CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
    CHECK_EQ(pthread_mutex_timedlock(&mutex, &t), ETIMEDOUT);
    return NULL;
}

static void* die_holding(void* arg) {
    CHECK_0(pthread_mutex_lock(&robust));
    return NULL;
}

int main(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    CHECK_0(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
    CHECK_0(pthread_mutex_init(&mutex, &attr));
    CHECK_0(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_0(pthread_mutex_init(&robust, &attr));
    pthread_t t[50];
    for (int i = 0; i < 50; i++) t[i] = start(count, NULL);
    for (int i = 0; i < 50; i++) finish(t[i]);
    say("counter %ld", counter);
    CHECK_0(pthread_mutex_lock(&mutex));
    finish(start(times_out, NULL));
    CHECK_0(pthread_mutex_unlock(&mutex));
    finish(start(die_holding, NULL));
    CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
    CHECK_0(pthread_mutex_consistent(&robust));
    CHECK_0(pthread_mutex_unlock(&robust));
    say("ok");
}
