// timed_locks_time_out_and_then_succeed.c - every timed lock waits at least its time, on both clocks, and gets a free
// lock.
#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;

#define TIMES_OUT(call)                           \
    do {                                          \
        long long begin = now_ns();               \
        CHECK_EQ(call, ETIMEDOUT);                \
        long long took = now_ns() - begin;        \
        CHECK(took >= ms(49) && took < ms(8000)); \
    } while (0)

static int sem_error(int r) {
    return r == 0 ? 0 : errno;
}

static void* all_time_out(void* arg) {
    static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC};
    struct timespec t;
    for (int i = 0; i < 2; i++) {
        t = deadline_in(clocks[i], ms(50));
        TIMES_OUT(pthread_mutex_clocklock(&mutex, clocks[i], &t));
        t = deadline_in(clocks[i], ms(50));
        TIMES_OUT(pthread_rwlock_clockrdlock(&rwlock, clocks[i], &t));
        t = deadline_in(clocks[i], ms(50));
        TIMES_OUT(pthread_rwlock_clockwrlock(&rwlock, clocks[i], &t));
        t = deadline_in(clocks[i], ms(50));
        TIMES_OUT(sem_error(sem_clockwait(&sem, clocks[i], &t)));
        CHECK_0(pthread_mutex_lock(&cond_mutex));
        t = deadline_in(clocks[i], ms(50));
        TIMES_OUT(pthread_cond_clockwait(&cond, &cond_mutex, clocks[i], &t));
        CHECK_0(pthread_mutex_unlock(&cond_mutex));
    }
    t = deadline_in(CLOCK_REALTIME, ms(50));
    TIMES_OUT(pthread_mutex_timedlock(&mutex, &t));
    t = (struct timespec){1, 0};  // long ago
    CHECK_EQ(pthread_mutex_timedlock(&mutex, &t), ETIMEDOUT);
    CHECK_EQ(sem_error(sem_timedwait(&sem, &t)), ETIMEDOUT);
    t.tv_nsec = 1000000000;
    CHECK_EQ(pthread_mutex_timedlock(&mutex, &t), EINVAL);
    return NULL;
}

static void* all_succeed(void* arg) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(60000));
    CHECK_0(pthread_mutex_timedlock(&mutex, &t));
    CHECK_0(pthread_rwlock_timedwrlock(&rwlock, &t));
    CHECK_OK(sem_timedwait(&sem, &t));
    return NULL;
}

int main(void) {
    CHECK_OK(sem_init(&sem, 0, 0));
    CHECK_0(pthread_mutex_lock(&mutex));
    CHECK_0(pthread_rwlock_wrlock(&rwlock));
    finish(start(all_time_out, NULL));
    say("all timed out");
    pthread_t t = start(all_succeed, NULL);
    settle();
    CHECK_0(pthread_mutex_unlock(&mutex));
    settle();
    CHECK_0(pthread_rwlock_unlock(&rwlock));
    settle();
    CHECK_OK(sem_post(&sem));
    finish(t);
    say("all succeeded");
}
