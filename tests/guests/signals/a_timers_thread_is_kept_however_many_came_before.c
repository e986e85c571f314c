// a_timers_thread_is_kept_however_many_came_before.c - SIGEV_THREAD_ID and SIGEV_THREAD behind thousands of timers that came and went
// (the kernel's ids only grow); overruns; thousands at a time.
// TEST: libs=rt
#include "check.h"

enum { kGone = 4500, kAtOnce = 300 };

static pthread_t target;
static _Atomic int directed, in_threads, stop;
static void on_signal(int sig) {
    CHECK(pthread_equal(pthread_self(), target));
    directed++;
}
static void in_thread(union sigval value) {
    in_threads += value.sival_int;
}

static void set(timer_t timer, long first_ns, long every_ns) {
    struct itimerspec when = {{0, every_ns}, {0, first_ns}};
    CHECK_OK(timer_settime(timer, 0, &when, NULL));
}

static timer_t timers[kAtOnce];

static void* receive(void* arg) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    event._sigev_un._tid = gettid();
    target = pthread_self();
    for (int i = 0; i < kGone; i++) {
        CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timers[0]));
        CHECK_OK(timer_delete(timers[0]));
    }
    CHECK_ERR(timer_delete(timers[0]), EINVAL);
    for (int i = 0; i < kAtOnce; i++) CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timers[i]));
    set(timers[0], 1000000, 1000000);
    set(timers[kAtOnce - 1], 1000000, 1000000);
    while (directed < 20) pause();
    set(timers[kAtOnce - 1], 0, 0);

    block_signal(SIGUSR1);
    sigset_t usr1 = signal_set(SIGUSR1, 0);
    struct timespec none = {0, 0};
    set(timers[0], 0, 0);
    while (sigtimedwait(&usr1, NULL, &none) == SIGUSR1) {
    }
    set(timers[0], 1000000, 1000000);
    sleep_ms(50);
    siginfo_t info;
    CHECK_EQ(sigwaitinfo(&usr1, &info), SIGUSR1);
    CHECK(info.si_overrun >= 40);
    CHECK(timer_getoverrun(timers[0]) >= 40);
    CHECK_EQ(timer_getoverrun(timers[1]), 0);
    for (int i = 0; i < kAtOnce; i++) CHECK_OK(timer_delete(timers[i]));
    CHECK_ERR(timer_getoverrun(timers[0]), EINVAL);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, on_signal, SA_RESTART);
    finish(start(receive, NULL));
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 1};
    timer_t timer;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    set(timer, 1000000, 1000000);
    while (in_threads < 20) sleep_ms(1);
    CHECK_OK(timer_delete(timer));

    // a child has none, and its ids begin again
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        CHECK_ERR(timer_delete(timer), EINVAL);
        directed = 0;
        target = pthread_self();
        struct sigevent own = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
        own._sigev_un._tid = gettid();
        CHECK_OK(timer_create(CLOCK_MONOTONIC, &own, &timer));
        set(timer, 1000000, 1000000);
        while (directed < 5) pause();
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    say("ok");
}
