// clock_nanosleep_ends_at_the_absolute_time.c - TIMER_ABSTIME on every clock; the past returns at once; EINTR keeps
// `left`.
#include "check.h"

static void* all_clocks(void* arg) {
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI};
    for (int i = 0; i < 4; i++) {
        struct timespec t = deadline_in(clocks[i], ms(40)), now;
        CHECK_EQ(clock_nanosleep(clocks[i], TIMER_ABSTIME, &t, NULL), 0);
        CHECK_OK(clock_gettime(clocks[i], &now));
        CHECK(now.tv_sec > t.tv_sec || (now.tv_sec == t.tv_sec && now.tv_nsec >= t.tv_nsec));
        struct timespec past = {0, 0};
        CHECK_EQ(clock_nanosleep(clocks[i], TIMER_ABSTIME, &past, NULL), 0);
    }
    return NULL;
}

int main(void) {
    all_clocks(NULL);
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(all_clocks, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    struct timespec wrong = {0, 1000000000}, negative = {-1, 0}, fine = {0, 1};
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &negative, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &negative, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(99, 0, &fine, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &fine, NULL), EINVAL);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, (void*)8, NULL), EFAULT);
    CHECK_ERR(nanosleep(&wrong, NULL), EINVAL);
    CHECK_ERR(nanosleep((void*)8, NULL), EFAULT);
    handle(SIGALRM, ignore_signal_number, SA_RESTART);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    struct timespec far = deadline_in(CLOCK_MONOTONIC, ms(100000)), left = {-7, -7};
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &far, &left), EINTR);
    CHECK(left.tv_sec == -7 && left.tv_nsec == -7);
    say("ok");
}
