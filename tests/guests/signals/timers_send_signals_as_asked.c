// timers_send_signals_as_asked.c - timer_create with SIGNAL, THREAD, THREAD_ID, NONE; setitimer; alarm; overruns.
// TEST: libs=rt
#include "check.h"

static _Atomic int signals, threads, directed;
static pthread_t target;
static void count(int sig) {
    signals++;
}
static void count_directed(int sig) {
    CHECK(pthread_equal(pthread_self(), target));
    directed++;
}
static void in_thread(union sigval value) {
    threads += value.sival_int;
}

static timer_t make(struct sigevent* event, int clock, long first_ns, long every_ns) {
    timer_t timer;
    struct itimerspec when = {{0, every_ns}, {0, first_ns}};
    CHECK_OK(timer_create(clock, event, &timer));
    CHECK_OK(timer_settime(timer, 0, &when, NULL));
    return timer;
}

static void* receive_directed(void* arg) {
    target = pthread_self();
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = gettid();
    timer_t timer = make(&event, CLOCK_MONOTONIC, 5000000, 5000000);
    while (directed < 5) pause();
    CHECK_OK(timer_delete(timer));
    return NULL;
}

static timer_t early;

// a timer from before the second thread keeps its thread, and counts its overruns
static void* look_at_early(void* arg) {
    unblock_signal(SIGUSR2);
    sleep_ms(20);
    CHECK_EQ(directed, 0);
    return NULL;
}

static void before_threads(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = gettid();
    target = pthread_self();
    block_signal(SIGUSR2);
    early = make(&event, CLOCK_MONOTONIC, 1000000, 1000000);
    pthread_t other = start(look_at_early, NULL);
    finish(other);
    unblock_signal(SIGUSR2);
    while (!directed) pause();
    CHECK(timer_getoverrun(early) > 0 || directed > 1);
    CHECK_OK(timer_delete(early));
    directed = 0;
}

int main(void) {
    handle(SIGUSR1, count, SA_RESTART);
    handle(SIGUSR2, count_directed, SA_RESTART);
    handle(SIGALRM, count, SA_RESTART);
    before_threads();
    struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sigevent by_thread = {
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 2};
    struct sigevent silent = {.sigev_notify = SIGEV_NONE};
    timer_t a = make(&by_signal, CLOCK_REALTIME, 5000000, 5000000);
    timer_t b = make(&by_thread, CLOCK_MONOTONIC, 5000000, 5000000);
    timer_t c = make(&silent, CLOCK_MONOTONIC, 900000000, 0);
    while (signals < 5 || threads < 10) sleep_ms(1);
    struct itimerspec left;
    CHECK_OK(timer_gettime(c, &left));
    CHECK(left.it_value.tv_nsec > 0 || left.it_value.tv_sec == 0);
    CHECK_OK(timer_delete(a));
    CHECK_OK(timer_delete(b));
    CHECK_OK(timer_delete(c));
    finish(start(receive_directed, NULL));
    say("timer_create ok");

    signals = 0;
    struct itimerval every = {{0, 3000}, {0, 3000}}, off = {{0, 0}, {0, 0}}, old;
    CHECK_OK(setitimer(ITIMER_REAL, &every, NULL));
    while (signals < 5) pause();
    CHECK_OK(setitimer(ITIMER_REAL, &off, &old));
    CHECK_EQ(old.it_interval.tv_usec, 3000);
    CHECK_EQ(alarm(100), 0);
    unsigned rest = alarm(0);
    CHECK(rest == 100 || rest == 99);
    int before = signals;
    alarm(1);
    while (signals == before) pause();
    say("setitimer and alarm ok");

    // blocked: overruns are counted
    sigset_t set = signal_set(SIGUSR1, 0);
    siginfo_t info;
    block_signal(SIGUSR1);
    a = make(&by_signal, CLOCK_MONOTONIC, 1000000, 1000000);
    sleep_ms(50);
    CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
    CHECK(info.si_overrun >= 40);
    CHECK(timer_getoverrun(a) >= 40);
    CHECK_OK(timer_delete(a));
    CHECK_ERR(timer_gettime(a, &left), EINVAL);
    say("overruns ok");
}
