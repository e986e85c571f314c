// rwlock_readers_share_and_writers_exclude.c - readers are in together, a writer is alone, nothing is lost.
#include "check.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic int readers, writers;
static long value;
static pthread_barrier_t meet;

static void* read_together(void* arg) {
    CHECK_0(pthread_rwlock_rdlock(&lock));
    pthread_barrier_wait(&meet);  // only passes when all of them hold the read lock at once
    CHECK_0(pthread_rwlock_unlock(&lock));
    return NULL;
}

static void* mixed(void* arg) {
    for (int i = 0; i < 30; i++) {
        if (((long)arg + i) % 5 == 0) {
            CHECK_0(pthread_rwlock_wrlock(&lock));
            CHECK_EQ(++writers, 1);
            CHECK_EQ(readers, 0);
            long seen = value;
            sched_yield();
            value = seen + 1;
            writers--;
        } else {
            CHECK_0(pthread_rwlock_rdlock(&lock));
            readers++;
            CHECK_EQ(writers, 0);
            sched_yield();
            readers--;
        }
        CHECK_0(pthread_rwlock_unlock(&lock));
    }
    return NULL;
}

int main(void) {
    enum { N = 100 };
    pthread_t t[N];
    pthread_barrier_init(&meet, NULL, N);
    for (long i = 0; i < N; i++) t[i] = start(read_together, NULL);
    for (int i = 0; i < N; i++) finish(t[i]);
    for (long i = 0; i < N; i++) t[i] = start(mixed, (void*)i);
    for (int i = 0; i < N; i++) finish(t[i]);
    CHECK_0(pthread_rwlock_rdlock(&lock));
    CHECK_EQ(pthread_rwlock_trywrlock(&lock), EBUSY);
    CHECK_0(pthread_rwlock_tryrdlock(&lock));
    say("value %ld", value);
}
