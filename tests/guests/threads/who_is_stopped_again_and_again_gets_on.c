// One thread stops the others, waits until they stand, lets them go and stops them again at once, as a runtime that collects garbage
// without a pause would: they get on all the same, though nobody ever computes for a whole time slice.
// TEST: timeout=30 needs=preemption
#include "check.h"

enum { kOthers = 3 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go[kOthers], all_stand = PTHREAD_COND_INITIALIZER;
static int stop, standing, round_of, done;
static long progress[kOthers];

static void* other(void* arg) {
    long me = (long)arg;
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
            pthread_mutex_lock(&mutex);
            int mine = round_of;
            if (stop) {
                if (++standing == kOthers) pthread_cond_signal(&all_stand);
                while (stop && mine == round_of && !done) pthread_cond_wait(&go[me], &mutex);
                // Stopped again before it could run: it stands already.
                while (stop && !done) {
                    mine = round_of;
                    if (++standing == kOthers) pthread_cond_signal(&all_stand);
                    while (stop && mine == round_of && !done) pthread_cond_wait(&go[me], &mutex);
                }
            }
            pthread_mutex_unlock(&mutex);
        } else {
            __atomic_fetch_add(&progress[me], 1, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

int main(void) {
    pthread_t t[kOthers];
    for (long i = 0; i < kOthers; i++) {
        pthread_cond_init(&go[i], NULL);
        t[i] = start(other, (void*)i);
    }
    for (int got_on = 0; got_on < kOthers;) {
        pthread_mutex_lock(&mutex);
        standing = 0;
        round_of++;
        __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < kOthers; i++) pthread_cond_signal(&go[i]);  // those that did not notice that they were free
        while (standing < kOthers) pthread_cond_wait(&all_stand, &mutex);
        got_on = 0;
        for (int i = 0; i < kOthers; i++) got_on += __atomic_load_n(&progress[i], __ATOMIC_RELAXED) > 20;
        __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
        for (int i = 0; i < kOthers; i++) pthread_cond_signal(&go[i]);
        pthread_mutex_unlock(&mutex);
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < kOthers; i++) {
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&go[i]);
        pthread_mutex_unlock(&mutex);
    }
    for (int i = 0; i < kOthers; i++) finish(t[i]);
    say("ok");
}
