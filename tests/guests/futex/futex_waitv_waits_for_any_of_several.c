// futex_waitv_waits_for_any_of_several.c - futex_waitv returns the index that was woken, times out, checks values.
#include "futex.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
struct waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
};
enum { F32 = 2, PRIVATE = 128 };
static int words[5];
static struct waiter waiters[5];

static long waitv(int n, struct timespec* t) {
    return syscall(SYS_futex_waitv, waiters, n, 0, t, CLOCK_MONOTONIC);
}

static void* wait_any(void* arg) {
    return (void*)waitv(5, NULL);
}

int main(void) {
    for (int i = 0; i < 5; i++) waiters[i] = (struct waiter){0, (uintptr_t)&words[i], F32 | PRIVATE, 0};
    struct timespec t = deadline_in(CLOCK_MONOTONIC, ms(50));
    CHECK_ERR(waitv(5, &t), ETIMEDOUT);
    words[3] = 1;
    CHECK_ERR(waitv(5, &t), EAGAIN);
    words[3] = 0;
    CHECK_ERR(waitv(0, &t), EINVAL);
    CHECK_ERR(waitv(129, &t), EINVAL);
    pthread_t thread = start(wait_any, NULL);
    CHECK_EQ(wake_exactly(&words[2], FUTEX_PRIVATE_FLAG, 1), 1);
    say("index %ld", (long)finish(thread));
    for (int i = 0; i < 5; i++) CHECK_EQ(futex(&words[i], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0), 0);
}
