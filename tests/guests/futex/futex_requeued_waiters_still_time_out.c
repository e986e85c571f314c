// futex_requeued_waiters_still_time_out.c - a waiter that was moved keeps its time-out and takes signals.
#include "futex.h"

static int from, to;
static _Atomic int asleep, ended, may_go;

static void* times_out(void* arg) {
    struct timespec t = timespec_of(ms(300));
    asleep++;
    CHECK_ERR(futex(&from, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
    return NULL;
}

static void* interrupted(void* arg) {
    asleep++;
    CHECK_ERR(futex(&from, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR);
    ended = 1;
    while (!may_go) sleep_ms(1);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, ignore_signal_number, 0);
    pthread_t a = start(times_out, NULL), b = start(interrupted, NULL);
    while (asleep < 2) sleep_ms(1);
    sleep_ms(50);
    futex(&from, FUTEX_REQUEUE_PRIVATE, 0, (void*)100L, &to, 0);
    finish(a);
    struct pester p;
    pester_start(&p, b, SIGUSR1);
    while (!ended) sleep_ms(1);
    pester_stop(&p);
    may_go = 1;
    finish(b);
    CHECK_EQ(futex(&to, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
    CHECK_EQ(futex(&from, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
    say("ok");
}
