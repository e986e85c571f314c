// vdso_and_vsyscall_keep_working.c - getcpu, time, gettimeofday through libc, and the raw calls, in many threads.
// TEST: link=dynamic,static
#include "check.h"

static void* look(void* arg) {
    struct timeval a, b;
    time_t t = time(NULL);
    unsigned cpu, node;
    CHECK_OK(gettimeofday(&a, NULL));
    CHECK_OK(syscall(SYS_gettimeofday, &b, NULL));
    CHECK(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_usec >= a.tv_usec));
    CHECK(a.tv_sec - t <= 1);
    CHECK(syscall(SYS_time, NULL) >= t);
    CHECK_OK(getcpu(&cpu, &node));
    CHECK_OK(syscall(SYS_getcpu, &cpu, &node, NULL));
    CHECK(sched_getcpu() >= 0);
    return NULL;
}

int main(void) {
    pthread_t t[50];
    for (int i = 0; i < 50; i++) t[i] = start(look, NULL);
    for (int i = 0; i < 50; i++) finish(t[i]);
    say("ok");
}
