// futex_bitset_wakes_only_matching_waiters.c - FUTEX_WAIT_BITSET and FUTEX_WAKE_BITSET; a plain wake matches all
// bits.
#include "futex.h"

static int word;
static _Atomic int asleep, woken_mask;

static void* wait_bit(void* arg) {
    int bit = 1 << (long)arg;
    asleep++;
    CHECK_EQ(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, bit), 0);
    woken_mask |= bit;
    return NULL;
}

static void wake_bits(int bits, int want) {
    int total = 0;
    for (int tries = 0; total < want; tries++) {
        long n = futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, bits);
        CHECK_OK(n);
        total += n;
        if (n == 0) sleep_ms(1);
        CHECK(tries < 10000);
    }
    CHECK_EQ(total, want);
}

int main(void) {
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(wait_bit, (void*)i);
    while (asleep < 8) sleep_ms(1);
    wake_bits(1 << 3, 1);
    finish(t[3]);
    CHECK_EQ(woken_mask, 1 << 3);
    CHECK_EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 1 << 3 | 1 << 20), 0);
    wake_bits(1 << 0 | 1 << 7, 2);
    finish(t[0]);
    finish(t[7]);
    CHECK_EQ(woken_mask, 1 << 0 | 1 << 3 | 1 << 7);
    CHECK_EQ(wake_exactly(&word, FUTEX_PRIVATE_FLAG, 5), 5);
    for (int i = 1; i < 7; i++)
        if (i != 3) finish(t[i]);
    CHECK_ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 0), EINVAL);
    CHECK_ERR(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    say("ok");
}
