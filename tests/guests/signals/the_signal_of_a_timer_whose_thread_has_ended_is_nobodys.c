// the_signal_of_a_timer_whose_thread_has_ended_is_nobodys.c - SIGEV_THREAD_ID of a thread that is gone; another timer with the same
// signal goes on.
// TEST: libs=rt
#include "check.h"

static pthread_t receiver;
static _Atomic int received;
static void on_signal(int sig, siginfo_t* info, void* context) {
    CHECK(pthread_equal(pthread_self(), receiver));
    CHECK_EQ(info->si_value.sival_int, 2);
    received++;
}

static timer_t make(int value, int sig) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig, .sigev_value.sival_int = value};
    event._sigev_un._tid = gettid();
    timer_t timer;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    return timer;
}

static timer_t orphan, deadly;

static void* leave_timers(void* arg) {
    struct itimerspec when = {{0, 1000000}, {0, 1000000}};
    orphan = make(1, SIGUSR1);
    deadly = make(1, SIGUSR2);
    sigset_t both = signal_set(SIGUSR1, SIGUSR2);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &both, NULL));
    CHECK_OK(timer_settime(orphan, 0, &when, NULL));
    CHECK_OK(timer_settime(deadly, 0, &when, NULL));
    return NULL;
}

int main(void) {
    receiver = pthread_self();
    handle_info(SIGUSR1, on_signal, SA_RESTART);
    finish(start(leave_timers, NULL));
    timer_t own = make(2, SIGUSR1);
    struct itimerspec when = {{0, 1000000}, {0, 1000000}};
    CHECK_OK(timer_settime(own, 0, &when, NULL));
    while (received < 30) pause();
    CHECK_OK(timer_delete(orphan));
    CHECK_OK(timer_delete(deadly));
    CHECK_OK(timer_delete(own));
    say("ok");
}
