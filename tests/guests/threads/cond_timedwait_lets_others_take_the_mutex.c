// cond_timedwait_lets_others_take_the_mutex.c - while one waits with a time-out, the mutex is free; it is held again
// after.
#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t waiting;

static void* wait_long(void* arg) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(arg ? 300 : 60000));
    CHECK_0(pthread_mutex_lock(&mutex));
    sem_post(&waiting);
    int e;
    do e = pthread_cond_timedwait(&cond, &mutex, &t);
    while (arg && e == 0);
    CHECK_EQ(e, arg ? ETIMEDOUT : 0);
    CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
    CHECK_0(pthread_mutex_unlock(&mutex));
    return NULL;
}

int main(void) {
    sem_init(&waiting, 0, 0);
    for (long times_out = 0; times_out < 2; times_out++) {
        pthread_t t = start(wait_long, (void*)times_out);
        sem_wait(&waiting);
        long long begin = now_ns();
        CHECK_0(pthread_mutex_lock(&mutex));  // only possible while the other one waits
        if (!times_out) {
            CHECK(now_ns() - begin < ms(20000));
            pthread_cond_signal(&cond);
        }
        CHECK_0(pthread_mutex_unlock(&mutex));
        finish(t);
    }
    say("ok");
}
