// five_hundred_threads_share_a_mutex.c - mutual exclusion: a plain counter under a mutex loses no increment.
// TEST: link=dynamic,static,musl
#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static int inside;

static void* count(void* arg) {
    for (int i = 0; i < 40; i++) {
        CHECK_0(pthread_mutex_lock(&mutex));
        CHECK_EQ(inside++, 0);
        long seen = counter;
        if (i % 8 == 0) sched_yield();
        counter = seen + 1;
        inside--;
        CHECK_0(pthread_mutex_unlock(&mutex));
    }
    return (char*)arg + 1;
}

int main(void) {
    enum { N = 500 };
    static pthread_t t[N];
    for (long i = 0; i < N; i++) t[i] = start(count, (void*)i);
    for (long i = 0; i < N; i++) CHECK_EQ((long)finish(t[i]), i + 1);
    say("counter %ld", counter);
}
