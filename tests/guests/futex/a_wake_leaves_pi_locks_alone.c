// a_wake_leaves_pi_locks_alone.c - FUTEX_WAKE, FUTEX_WAKE_OP and FUTEX_CMP_REQUEUE of a word for which a thread waits as for a
// priority-inheritance lock are refused, and the waiter goes on waiting.
#include "futex.h"

static int lock, other;
static volatile int owns;

static void* take(void* arg) {
    CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    owns = 1;
    CHECK_EQ(lock & FUTEX_TID_MASK, syscall(SYS_gettid));
    CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    return arg;
}

int main(void) {
    CHECK_EQ(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    pthread_t t = start(take, NULL);
    while (!(__atomic_load_n(&lock, __ATOMIC_SEQ_CST) & FUTEX_WAITERS)) sleep_ms(1);
    settle();
    CHECK_ERR(futex(&lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    CHECK_ERR(futex(&lock, FUTEX_WAKE_OP_PRIVATE, 1, (void*)1, &other, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1)), EINVAL);
    CHECK_ERR(futex(&lock, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void*)1, &other, lock), EINVAL);
    settle();
    CHECK_EQ(owns, 0);
    CHECK_EQ(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    finish(t);
    CHECK_EQ(owns, 1);
    say("ok");
}
