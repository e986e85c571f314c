// futex.h - the raw futex call for the guests of this folder.
#pragma once
#include <linux/futex.h>

#include "check.h"

__attribute__((unused)) static long futex(int* word, int op, int value, const void* timeout_or_value2, int* word2,
                                          int value3) {
    return syscall(SYS_futex, word, op, value, timeout_or_value2, word2, value3);
}

// wakes one after the other until `count` were woken; waits for threads that do not sleep yet
__attribute__((unused)) static int wake_exactly(int* word, int flag, int count) {
    int total = 0;
    for (int tries = 0; total < count; tries++) {
        long n = futex(word, FUTEX_WAKE | flag, count - total, NULL, NULL, 0);
        CHECK_OK(n);
        total += n;
        if (n == 0) sleep_ms(1);
        CHECK(tries < 10000);
    }
    return total;
}
