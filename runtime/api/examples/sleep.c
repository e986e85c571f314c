// sleep.c - a thousand tasks sleep at once, by libc's calls; also from the main thread
#include <time.h>

#include "example.h"

static long elapsed_ms(struct timespec from) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000;
}
static void* sleeps(void* number) {
    struct timespec span = {0, 50000000};
    if ((long)number % 2)
        usleep(50000);
    else
        nanosleep(&span, NULL);
    return number;
}

int main(void) {
    start();
    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    enum { N = 1000 };
    oc_task* tasks[N];
    for (long i = 0; i < N; i++) tasks[i] = oc_task_create(sleeps, (void*)i, 0);
    usleep(50000);
    for (long i = 0; i < N; i++) MUST((long)join(tasks[i]) == i);
    MUST(elapsed_ms(begin) >= 50);
    printf("%d sleeps of 50 ms overlapped\n", N);
    finish();
}
