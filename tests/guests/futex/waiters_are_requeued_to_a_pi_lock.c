// waiters_are_requeued_to_a_pi_lock.c - FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI: a condition variable whose waiters come
// back owning the lock; time-outs before and after the move; the errors of Linux.
#include "futex.h"

enum { kThreads = 12 };
static int condition, lock, other;
static _Atomic int got;
static long inside;

static void lock_it(void) {
    int none = 0;
    if (!__atomic_compare_exchange_n(&lock, &none, gettid(), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
}

static void unlock_it(void) {
    int me = gettid();
    if (!__atomic_compare_exchange_n(&lock, &me, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
}

static void* wait_for_it(void* arg) {
    CHECK_EQ(futex(&condition, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 7, NULL, &lock, 0), 0);
    CHECK_EQ(lock & FUTEX_TID_MASK, gettid());
    long seen = inside;
    sched_yield();
    inside = seen + 1;
    got++;
    unlock_it();
    return NULL;
}

static void* wait_in_vain(void* arg) {
    struct timespec t = deadline_in(CLOCK_MONOTONIC, ms(30));
    CHECK_ERR(futex(&condition, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 7, &t, &lock, 0), ETIMEDOUT);
    return NULL;
}

static int requeue(int wake, long move, int expected) {
    return (int)syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI_PRIVATE, wake, move, &lock, expected);
}

// until `count` were moved or given the lock; waits for threads that do not sleep yet
static void requeue_exactly(int count) {
    for (int total = 0; total < count;) {
        int n = requeue(1, count - total - 1, 7);
        CHECK_OK(n);
        total += n;
        if (!n) sleep_ms(1);
    }
}

int main(void) {
    pthread_t t[kThreads];
    condition = 7;
    CHECK_ERR(futex(&condition, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 8, NULL, &lock, 0), EAGAIN);
    CHECK_ERR(futex(&condition, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 7, NULL, &condition, 0), EINVAL);
    CHECK_ERR(requeue(2, 1, 7), EINVAL);
    CHECK_ERR(requeue(1, 1, 8), EAGAIN);
    CHECK_EQ(requeue(1, 1, 7), 0);

    // the lock is free: the first gets it at once, the others one after the other
    for (int i = 0; i < kThreads; i++) t[i] = start(wait_for_it, NULL);
    requeue_exactly(kThreads);
    for (int i = 0; i < kThreads; i++) finish(t[i]);
    CHECK_EQ(inside, kThreads);
    CHECK_EQ(lock & FUTEX_TID_MASK, 0);

    // the lock is held: nobody gets on before it is released
    got = 0;
    lock_it();
    for (int i = 0; i < kThreads; i++) t[i] = start(wait_for_it, NULL);
    requeue_exactly(kThreads);
    sleep_ms(5);
    CHECK_EQ(got, 0);
    CHECK(lock & FUTEX_WAITERS);
    unlock_it();
    for (int i = 0; i < kThreads; i++) finish(t[i]);
    CHECK_EQ(inside, 2 * kThreads);

    // time is up: while waiting, and while waiting for the lock
    finish(start(wait_in_vain, NULL));
    lock_it();
    for (int moved = 0; !moved;) {
        t[0] = start(wait_in_vain, NULL);
        for (int i = 0; i < 20 && !moved; i++) {
            moved = requeue(1, 0, 7);
            if (!moved) sleep_ms(1);
        }
        finish(t[0]);
    }
    unlock_it();
    CHECK_EQ(lock & FUTEX_TID_MASK, 0);

    // another lock than the waiter named
    t[0] = start(wait_for_it, NULL);
    while (syscall(SYS_futex, &condition, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, 0L, &other, 7) != -1) sleep_ms(1);
    CHECK_EQ(errno, EINVAL);
    requeue_exactly(1);
    finish(t[0]);
    CHECK_EQ(inside, 2 * kThreads + 1);
    say("ok");
}
