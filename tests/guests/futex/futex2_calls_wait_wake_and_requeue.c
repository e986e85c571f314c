// futex2_calls_wait_wake_and_requeue.c - futex_wait, futex_wake and futex_requeue (Linux 6.7) among threads, and
// together with futex(2).
#include "futex.h"

enum { kWake = 454, kWait = 455, kRequeue = 456, kSize32 = 2, kWaiters = 5 };
struct futex_word {
    uint64_t value, address;
    uint32_t flags, reserved;
};
static int first, second, flags, by_futex, came_back;

static void* wait_for_wake(void* arg) {
    long r = by_futex ? futex(&first, FUTEX_WAIT | (flags & FUTEX_PRIVATE_FLAG), 0, NULL, NULL, 0)
                      : syscall(kWait, &first, 0L, 3L, flags, NULL, CLOCK_MONOTONIC);
    if (r) CHECK_EQ(errno, EAGAIN);
    __atomic_fetch_add(&came_back, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void* wait_in_vain(void* arg) {
    struct timespec limit = deadline_in(CLOCK_REALTIME, ms(20));
    CHECK_ERR(syscall(kWait, &first, 0L, 1L, flags, &limit, CLOCK_REALTIME), ETIMEDOUT);
    return NULL;
}

static int wake_all(int* word, long mask, int count) {
    int woken = 0;
    while (woken < count) {
        long n = syscall(kWake, word, mask, count - woken, flags);
        CHECK_OK(n);
        woken += n;
        if (!n) sleep_ms(1);
    }
    return woken;
}

static void round_of(int with_flags, int with_futex) {
    pthread_t threads[kWaiters];
    flags = with_flags;
    by_futex = with_futex;
    came_back = 0;
    struct futex_word words[2] = {{0, (uint64_t)&first, flags, 0}, {0, (uint64_t)&second, flags, 0}};
    for (int i = 0; i < kWaiters; i++) threads[i] = start(wait_for_wake, NULL);
    if (!with_futex) {
        settle();
        CHECK_EQ(syscall(kWake, &first, 4L, kWaiters, flags), 0);  // no bit in common
    }
    CHECK_EQ(syscall(kWake, &first, 1L, 0, flags), 0);
    CHECK_EQ(wake_all(&first, 1, 1), 1);
    words[0].value = 1;
    CHECK_ERR(syscall(kRequeue, words, 0, 1, kWaiters), EAGAIN);
    words[0].value = 0;
    for (int left = kWaiters - 1; left;) {
        long n = syscall(kRequeue, words, 0, 0, kWaiters);
        CHECK_OK(n);
        left -= n;
        if (!n) sleep_ms(1);
    }
    CHECK_EQ(syscall(kWake, &first, 1L, kWaiters, flags), 0);
    CHECK_EQ(wake_all(&second, 1, kWaiters - 1), kWaiters - 1);
    for (int i = 0; i < kWaiters; i++) finish(threads[i]);
    CHECK_EQ(came_back, kWaiters);
    finish(start(wait_in_vain, NULL));
}

int main(void) {
    if (syscall(kWake, &first, 1L, 1, kSize32) == -1 && errno == ENOSYS) {
        say("ok");
        return 0;
    }
    for (int i = 0; i < 4; i++) round_of(kSize32 | (i & 1 ? FUTEX_PRIVATE_FLAG : 0), i / 2);
    say("ok");
}
