// a_wake_of_none_wakes_one.c - FUTEX_WAKE counts after it has woken: 0 and negative numbers wake one.
#include <linux/futex.h>

#include "check.h"

static int word;

static void* wait_for_it(void* arg) {
    while (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0) == -1) CHECK_EQ(errno, EINTR);
    return arg;
}

int main(void) {
    enum { kThreads = 4 };
    const int counts[kThreads] = {0, -1, INT_MIN, 1};
    pthread_t t[kThreads];
    for (int i = 0; i < kThreads; i++) t[i] = start(wait_for_it, NULL);
    for (int i = 0; i < kThreads; i++) {
        long woken;
        while ((woken = syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, counts[i], NULL, NULL, 0)) == 0) sched_yield();
        CHECK_EQ(woken, 1);
    }
    for (int i = 0; i < kThreads; i++) finish(t[i]);
    CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 0, NULL, NULL, 0), 0);
    say("ok");
}
