// a_timer_faster_than_its_handler_leaves_room.c - timers of one microsecond: handlers run to their end again and again, with
// system calls in them; what a pending timer missed are overruns. In a process of one thread, then beside one that computes and
// one that waits.
// TEST: timeout=90
#include "check.h"

enum { kEnough = 3000 };
static timer_t timer;
static volatile long handled, overruns, alarms, target;

static void on_timer(int sig, siginfo_t* info, void* context) {
    sigset_t pending;
    CHECK(info->si_code == SI_TIMER);
    CHECK_OK(sigpending(&pending));
    overruns += timer_getoverrun(timer);
    if (++handled >= target) {
        struct itimerspec none = {{0, 0}, {0, 0}};
        CHECK_OK(timer_settime(timer, 0, &none, NULL));
    }
}

static void on_alarm(int sig) {
    if (++alarms >= target) {
        struct itimerval none = {{0, 0}, {0, 0}};
        CHECK_OK(setitimer(ITIMER_REAL, &none, NULL));
    }
}

static void storm(int sig) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = sig;
    target = handled + kEnough;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec quick = {{0, 1000}, {0, 1000}};
    CHECK_OK(timer_settime(timer, 0, &quick, NULL));
    while (handled < target) getppid();
    CHECK_OK(timer_delete(timer));
}

static void storms(void) {
    storm(SIGRTMIN);
    storm(SIGUSR1);
    struct itimerval quick = {{0, 1}, {0, 1}};
    target = alarms + kEnough;
    CHECK_OK(setitimer(ITIMER_REAL, &quick, NULL));
    while (alarms < target) getppid();
    CHECK(overruns > 0);
}

static _Atomic int stop;

static void* compute(void* arg) {
    long rounds = 0;
    while (!stop) rounds++;
    return (void*)rounds;
}

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

int main(void) {
    sem_t leave;
    sigset_t all;
    handle_info(SIGRTMIN, on_timer, 0);
    handle_info(SIGUSR1, on_timer, 0);
    handle(SIGALRM, on_alarm, 0);
    storms();
    sem_init(&leave, 0, 0);
    sigfillset(&all);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &all, NULL));
    pthread_t computing = start(compute, NULL), waiting = start(wait_here, &leave);
    CHECK_0(pthread_sigmask(SIG_UNBLOCK, &all, NULL));
    storms();
    stop = 1;
    sem_post(&leave);
    CHECK(finish(computing) != NULL);
    finish(waiting);
    say("ok");
}
