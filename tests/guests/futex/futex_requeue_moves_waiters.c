// futex_requeue_moves_waiters.c - FUTEX_REQUEUE and FUTEX_CMP_REQUEUE wake some, move the rest, count both, check the
// value.
#include "futex.h"

static int from, to;
static _Atomic int woken;

static void* wait_here(void* arg) {
    CHECK_EQ(futex(&from, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0);
    woken++;
    return NULL;
}

static long requeue(int op, int wake, long move, int value) {
    return futex(&from, op | FUTEX_PRIVATE_FLAG, wake, (void*)move, &to, value);
}

int main(void) {
    pthread_t t[10];
    for (int i = 0; i < 10; i++) t[i] = start(wait_here, NULL);
    CHECK_ERR(requeue(FUTEX_CMP_REQUEUE, 1, 100, 1), EAGAIN);
    // move one at a time until all ten have been moved: some may be late
    int moved = 0;
    for (int tries = 0; moved < 8; tries++) {
        long n = requeue(FUTEX_CMP_REQUEUE, 0, 8 - moved, 0);
        CHECK_OK(n);
        moved += n;
        if (n == 0) sleep_ms(1);
        CHECK(tries < 10000);
    }
    CHECK_EQ(moved, 8);
    CHECK_EQ(woken, 0);
    CHECK_EQ(wake_exactly(&from, FUTEX_PRIVATE_FLAG, 2), 2);
    CHECK_EQ(futex(&from, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);  // the others are elsewhere now
    CHECK_EQ(futex(&to, FUTEX_WAKE_PRIVATE, 3, NULL, NULL, 0), 3);
    CHECK_EQ(futex(&to, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 5);
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_EQ(woken, 10);
    // wake one, move the rest: the result counts both
    for (int i = 0; i < 10; i++) t[i] = start(wait_here, NULL);
    sleep_ms(100);
    long both = requeue(FUTEX_REQUEUE, 1, 100, 0);
    CHECK(both >= 0 && both <= 10);
    int left = 10 - (both > 0) - (both > 1 ? both - 1 : 0);
    if (both > 1) CHECK_EQ(futex(&to, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), both - 1);
    if (left) wake_exactly(&from, FUTEX_PRIVATE_FLAG, left);
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_ERR(requeue(FUTEX_CMP_REQUEUE, -1, 1, 0), EINVAL);
    say("ok");
}
