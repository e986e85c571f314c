// a_thread_with_its_own_descriptors_wakes_others.c - after unshare(CLONE_FILES) a thread still wakes one that waits for a semaphore.
#include "check.h"

static sem_t s;
static _Atomic int unshared;

static void* wake_later(void* arg) {
    CHECK_OK(unshare(CLONE_FILES));
    unshared = 1;
    sleep_ms(100);
    CHECK_OK(sem_post(&s));
    return arg;
}

int main(void) {
    CHECK_OK(sem_init(&s, 0, 0));
    pthread_t t = start(wake_later, NULL);
    while (!unshared) sched_yield();
    CHECK_OK(sem_wait(&s));
    finish(t);
    say("ok");
}
