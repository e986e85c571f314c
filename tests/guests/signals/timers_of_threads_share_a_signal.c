// timers_of_threads_share_a_signal.c - a thread that blocks the signal of its timer does not keep the others' timers from them, whose signal
// is the same.
#include "check.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { kEnough = 20 };
static sem_t armed, enough;
static volatile int handled;

static void on_signal(int sig) {
    if (++handled == kEnough) sem_post(&enough);
}

static void arm(void) {
    timer_t timer;
    struct sigevent event;
    struct itimerspec quick = {{0, 1000000}, {0, 1000000}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN;
    event.sigev_notify_thread_id = gettid();
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &quick, NULL));
}

static void* blocks(void* arg) {
    arm();
    sem_post(&armed);
    for (;;) pause();
}

static void* takes(void* arg) {
    arm();
    unblock_signal(SIGRTMIN);
    for (;;) pause();
}

int main(void) {
    handle(SIGRTMIN, on_signal, 0);
    block_signal(SIGRTMIN);
    sem_init(&armed, 0, 0);
    sem_init(&enough, 0, 0);
    start(blocks, NULL);
    CHECK_OK(sem_wait(&armed));
    settle();
    start(takes, NULL);
    CHECK_OK(sem_wait(&enough));
    say("ok");
    _exit(0);
}
