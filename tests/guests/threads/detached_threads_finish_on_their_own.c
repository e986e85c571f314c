// detached_threads_finish_on_their_own.c - 300 detached threads, created so or detached later, finish and cannot be
// joined.
#include "check.h"

static sem_t done;

static void* work(void* arg) {
    if (arg) CHECK_0(pthread_detach(pthread_self()));
    sched_yield();
    sem_post(&done);
    return NULL;
}

int main(void) {
    pthread_attr_t attr;
    sem_init(&done, 0, 0);
    pthread_attr_init(&attr);
    CHECK_0(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED));
    CHECK_0(pthread_attr_setstacksize(&attr, 64 * 1024));
    for (long i = 0; i < 300; i++) {
        pthread_t t;
        CHECK_0(pthread_create(&t, i % 2 ? &attr : NULL, work, (void*)(i % 2 ? 0L : 1L)));
    }
    for (int i = 0; i < 300; i++) sem_wait(&done);
    say("ok");
}
