// futex_pi_operations_by_hand.c - FUTEX_LOCK_PI, TRYLOCK_PI, UNLOCK_PI on words that hold this process's tids.
#include "futex.h"

static int word;
static long counter;

static void* count(void* arg) {
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
        CHECK_EQ(word & FUTEX_TID_MASK, gettid());
        long seen = counter;
        if (i % 5 == 0) sched_yield();
        counter = seen + 1;
        CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    }
    return NULL;
}

static void* fails(void* arg) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(50));
    CHECK_ERR(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EWOULDBLOCK);
    CHECK_ERR(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
    CHECK_ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
    return NULL;
}

int main(void) {
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(count, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    CHECK_EQ(word & FUTEX_TID_MASK, 0);
    word = gettid();  // taken in user space, as glibc does
    CHECK_ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
    finish(start(fails, NULL));
    CHECK_EQ(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), 0);
    word = 0x3ffffff0;  // nobody
    CHECK_ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
    say("counter %ld", counter);
}
