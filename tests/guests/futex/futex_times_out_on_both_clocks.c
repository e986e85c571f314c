// futex_times_out_on_both_clocks.c - relative FUTEX_WAIT, absolute WAIT_BITSET on CLOCK_MONOTONIC and CLOCK_REALTIME.
#include "futex.h"

static int word;

static void timed(int op, struct timespec t, int bits) {
    long long begin = now_ns();
    CHECK_ERR(futex(&word, op | FUTEX_PRIVATE_FLAG, 0, &t, NULL, bits), ETIMEDOUT);
    long long took = now_ns() - begin;
    CHECK(took >= ms(59) && took < ms(8000));
}

static void* all(void* arg) {
    timed(FUTEX_WAIT, timespec_of(ms(60)), 0);
    timed(FUTEX_WAIT_BITSET, deadline_in(CLOCK_MONOTONIC, ms(60)), -1);
    timed(FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, deadline_in(CLOCK_REALTIME, ms(60)), -1);
    struct timespec past = {1, 0}, zero = {0, 0}, wrong = {0, 1000000000}, negative = {-1, 0};
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, &zero, NULL, 0), ETIMEDOUT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, &past, NULL, -1), ETIMEDOUT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &past, NULL, -1), ETIMEDOUT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, &wrong, NULL, 0), EINVAL);
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, &negative, NULL, 0), EINVAL);
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 0, (void*)8, NULL, 0), EFAULT);
    CHECK_ERR(futex(&word, FUTEX_WAIT_PRIVATE, 1, &zero, NULL, 0), EAGAIN);
    return NULL;
}

int main(void) {
    all(NULL);
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    say("ok");
}
