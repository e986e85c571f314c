// nanosleep_reports_the_remainder_on_a_signal.c - EINTR even with SA_RESTART, and what is left is written back.
// TEST: link=dynamic,static,musl
#include "check.h"

int main(void) {
    int flags[] = {0, SA_RESTART};
    for (int i = 0; i < 2; i++) {
        handle(SIGALRM, ignore_signal_number, flags[i]);
        struct itimerval soon = {{0, 0}, {0, 50000}};
        struct timespec t = {100, 0}, left = {-1, -1};
        long long begin = now_ns();
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        CHECK_ERR(nanosleep(&t, &left), EINTR);
        long long slept = now_ns() - begin, remains = left.tv_sec * 1000000000LL + left.tv_nsec;
        CHECK(slept >= ms(49) && slept < ms(20000));
        CHECK(remains >= ms(100000) - slept && remains < ms(100000));  // it may have begun late
        CHECK(left.tv_nsec >= 0 && left.tv_nsec < 1000000000);
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        left.tv_sec = -1;
        CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left), EINTR);
        CHECK(left.tv_sec >= 80 && left.tv_sec <= 99);
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        CHECK_ERR(nanosleep(&t, NULL), EINTR);
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        CHECK_ERR(nanosleep(&t, &t), EINTR);  // the same object
        CHECK(t.tv_sec >= 80 && t.tv_sec <= 99);
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        unsigned rest = sleep(100);
        CHECK(rest >= 80 && rest <= 100);
        CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
        CHECK_ERR(usleep(100000000), EINTR);
    }
    say("ok");
}
