// semaphore_bounds_how_many_are_inside.c - 500 threads through a semaphore of 7; trywait fails with EAGAIN.
#include "check.h"

static sem_t sem;
static _Atomic int inside, most;

static void* enter(void* arg) {
    for (int i = 0; i < 10; i++) {
        CHECK_OK(sem_wait(&sem));
        int now = ++inside;
        CHECK(now <= 7);
        if (now > most) most = now;
        sched_yield();
        inside--;
        CHECK_OK(sem_post(&sem));
    }
    return NULL;
}

static void* take(void* arg) {
    CHECK_OK(sem_wait(arg));
    return NULL;
}

int main(void) {
    enum { N = 500 };
    static pthread_t t[N];
    CHECK_OK(sem_init(&sem, 0, 7));
    for (int i = 0; i < N; i++) t[i] = start(enter, NULL);
    for (int i = 0; i < N; i++) finish(t[i]);
    int value;
    CHECK_OK(sem_getvalue(&sem, &value));
    CHECK(most >= 1);
    say("value %d", value);

    sem_t gate;
    CHECK_OK(sem_init(&gate, 0, 0));
    CHECK_ERR(sem_trywait(&gate), EAGAIN);
    for (int i = 0; i < 50; i++) t[i] = start(take, &gate);
    settle();
    for (int i = 0; i < 50; i++) CHECK_OK(sem_post(&gate));
    for (int i = 0; i < 50; i++) finish(t[i]);
    CHECK_ERR(sem_trywait(&gate), EAGAIN);
}
