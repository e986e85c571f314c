// TEST: timeout=60
// a_pi_wait_that_timed_out_owns_nothing.c - FUTEX_LOCK_PI with time-outs that end just when the lock is handed over: who is told that
// time is up does not find itself the owner (a recursive mutex would believe it).
#include <linux/futex.h>
#include <stdatomic.h>

#include "check.h"

enum { kRounds = 3000 };
static _Atomic unsigned word;
static _Atomic int end;

static long futex(int op, const struct timespec* t) { return syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, 0, t, NULL, 0); }

static void take(unsigned tid) {
    unsigned nobody = 0;
    if (!atomic_compare_exchange_strong(&word, &nobody, tid)) CHECK_OK(futex(FUTEX_LOCK_PI, NULL));
}

static void give(unsigned tid) {
    unsigned mine = tid;
    if (!atomic_compare_exchange_strong(&word, &mine, 0)) CHECK_OK(futex(FUTEX_UNLOCK_PI, NULL));
}

static void* holder(void* arg) {
    unsigned tid = gettid();
    while (!end) {
        take(tid);
        for (volatile int spin = 3000; spin; spin--) {
        }
        give(tid);
    }
    return NULL;
}

int main(void) {
    pthread_t a = start(holder, NULL), b = start(holder, NULL);
    unsigned tid = gettid();
    for (int i = 0; i < kRounds; i++) {
        struct timespec soon = deadline_in(CLOCK_REALTIME, 1000 * (i % 50));
        unsigned nobody = 0;
        if (atomic_compare_exchange_strong(&word, &nobody, tid) || futex(FUTEX_LOCK_PI, &soon) == 0) {
            CHECK_EQ(word & FUTEX_TID_MASK, tid);
            give(tid);
        } else {
            unsigned now = word;
            CHECK_EQ(errno, ETIMEDOUT);
            CHECK((now & FUTEX_TID_MASK) != tid);
        }
    }
    end = 1;
    finish(a);
    finish(b);
    CHECK_EQ(word & FUTEX_TID_MASK, 0);
    say("time-outs own nothing");
}
