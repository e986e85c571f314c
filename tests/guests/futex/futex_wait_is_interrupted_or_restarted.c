// futex_wait_is_interrupted_or_restarted.c - EINTR without SA_RESTART; with it the wait goes on, unless it has a
// time-out.
#include "futex.h"

static int word;
static _Atomic int handled, ended, may_go;

static void count(int sig) {
    handled++;
}

static void* interrupted(void* arg) {
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR);
    ended = 1;
    while (!may_go) sched_yield();
    return NULL;
}

static void* restarted(void* arg) {
    CHECK_EQ(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0);
    return NULL;
}

static void* deadline(void* arg) {
    struct timespec t = timespec_of(ms(100000));
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0),
              EINTR);  // ERESTART_RESTARTBLOCK: never with a handler
    t = deadline_in(CLOCK_MONOTONIC, ms(100000));
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, -1), EINTR);
    ended = 2;
    while (may_go < 2) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct pester p;
    handle(SIGUSR1, count, 0);
    pthread_t t = start(interrupted, NULL);
    pester_start(&p, t, SIGUSR1);
    while (!ended) sleep_ms(1);
    pester_stop(&p);
    may_go = 1;
    finish(t);
    say("interrupted");

    handle(SIGUSR1, count, SA_RESTART);
    t = start(restarted, NULL);
    handled = 0;
    pester_start(&p, t, SIGUSR1);
    while (handled < 8) sleep_ms(1);
    pester_stop(&p);
    CHECK_EQ(wake_exactly(&word, FUTEX_PRIVATE_FLAG, 1), 1);
    finish(t);
    say("restarted");

    t = start(deadline, NULL);
    handled = 0;
    pester_start(&p, t, SIGUSR1);
    while (ended != 2) sleep_ms(1);
    pester_stop(&p);
    may_go = 2;
    finish(t);
    CHECK(handled >= 1);
    say("interrupted, having a time-out");
}
