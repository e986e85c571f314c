// clocks_go_forward_by_call_and_by_vdso.c - vDSO and raw syscall agree; process and thread CPU clocks answer in every
// thread.
#include "check.h"

static long long read_clock(clockid_t clock, int raw) {
    struct timespec t;
    CHECK_OK(raw ? syscall(SYS_clock_gettime, clock, &t) : clock_gettime(clock, &t));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void* look(void* arg) {
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
                          CLOCK_PROCESS_CPUTIME_ID},
              mine;
    for (int i = 0; i < 5; i++) {
        long long a = read_clock(clocks[i], 0), b = read_clock(clocks[i], 1), c = read_clock(clocks[i], 0);
        CHECK(a <= b && b <= c);
        struct timespec resolution;
        CHECK_OK(clock_getres(clocks[i], &resolution));
    }
    CHECK(read_clock(CLOCK_THREAD_CPUTIME_ID, 0) > 0);
    CHECK_0(pthread_getcpuclockid(pthread_self(), &mine));
    CHECK(read_clock(mine, 0) > 0);
    CHECK_0(clock_getcpuclockid(0, &mine));
    CHECK(read_clock(mine, 0) > 0);
    struct rusage usage;
    CHECK_OK(getrusage(RUSAGE_SELF, &usage));
    CHECK_OK(getrusage(RUSAGE_THREAD, &usage));
    CHECK(clock() != (clock_t)-1);
    return NULL;
}

int main(void) {
    look(NULL);
    pthread_t t[10];
    for (int i = 0; i < 10; i++) t[i] = start(look, NULL);
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_ERR(clock_gettime(1234, &(struct timespec){0}), EINVAL);
    say("ok");
}
