// cpu_time_of_threads_is_their_own.c - RUSAGE_THREAD and CPU clocks of a thread that computes and of one that waits, asked by
// themselves and by another; clock_getres of them.
#include "check.h"

static _Atomic int stop;
static sem_t asked;

static long long micros(struct timeval t) {
    return t.tv_sec * 1000000LL + t.tv_usec;
}

static long long usage(void) {
    struct rusage u;
    CHECK_OK(getrusage(RUSAGE_THREAD, &u));
    return micros(u.ru_utime) + micros(u.ru_stime);
}

static void* compute(void* arg) {
    struct rusage u, last;
    memset(&last, 0, sizeof last);
    // No call leaves the processor to anybody.
    while (!stop)
        for (volatile int i = 0; i < 1000; i++) continue;
    while (usage() < 20000) continue;
    for (int i = 0; i < 1000; i++) {
        CHECK_OK(getrusage(RUSAGE_THREAD, &u));
        CHECK(micros(u.ru_utime) >= micros(last.ru_utime) && micros(u.ru_stime) >= micros(last.ru_stime));
        CHECK(u.ru_nvcsw >= last.ru_nvcsw && u.ru_nivcsw >= last.ru_nivcsw);
        last = u;
    }
    return (void*)usage();
}

static void* wait_here(void* arg) {
    while (sem_wait(&asked)) CHECK_EQ(errno, EINTR);
    return (void*)usage();
}

static long long clock_of(clockid_t clock) {
    struct timespec t;
    CHECK_OK(clock_gettime(clock, &t));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void) {
    clockid_t busy, idle;
    struct timespec resolution;
    sem_init(&asked, 0, 0);
    pthread_t computing = start(compute, NULL), waiting = start(wait_here, NULL);
    CHECK_0(pthread_getcpuclockid(computing, &busy));
    CHECK_0(pthread_getcpuclockid(waiting, &idle));
    CHECK_OK(clock_getres(busy, &resolution));
    CHECK(resolution.tv_sec == 0 && resolution.tv_nsec == 1);
    CHECK_OK(clock_getres(CLOCK_THREAD_CPUTIME_ID, &resolution));
    CHECK(resolution.tv_sec == 0 && resolution.tv_nsec == 1);
    long long began = clock_of(busy);
    while (clock_of(busy) < began + ms(20)) sched_yield();  // it moves on although that thread enters no call
    for (long long before = -1, now; (now = clock_of(idle)) != before; before = now) sleep_ms(5);  // this one stands, once it waits
    stop = 1;
    sem_post(&asked);
    CHECK((long long)finish(computing) >= 20000);
    finish(waiting);
    say("ok");
}
