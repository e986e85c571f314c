// futex_wake_counts_whom_it_wakes.c - raw FUTEX_WAIT and FUTEX_WAKE: exact counts, private and not, EAGAIN on a
// stale value.
// TEST: link=dynamic,static
#include "futex.h"

static int word, flag;
static _Atomic int woken;

static void* wait_once(void* arg) {
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0) {
        long r = futex(&word, FUTEX_WAIT | flag, 0, NULL, NULL, 0);
        CHECK(r == 0 || errno == EAGAIN);
        if (r == 0) break;
    }
    woken++;
    return NULL;
}

int main(void) {
    pthread_t t[10];
    for (flag = 0; flag <= FUTEX_PRIVATE_FLAG; flag += FUTEX_PRIVATE_FLAG) {
        word = 5;
        CHECK_ERR(futex(&word, FUTEX_WAIT | flag, 4, NULL, NULL, 0), EAGAIN);
        CHECK_EQ(futex(&word, FUTEX_WAKE | flag, 1000, NULL, NULL, 0), 0);
        word = 0;
        woken = 0;
        for (int i = 0; i < 10; i++) t[i] = start(wait_once, NULL);
        int total = wake_exactly(&word, flag, 3);
        CHECK_EQ(total, 3);
        total += wake_exactly(&word, flag, 7);
        for (int i = 0; i < 10; i++) finish(t[i]);
        CHECK_EQ(woken, 10);
        CHECK_EQ(futex(&word, FUTEX_WAKE | flag, 1000, NULL, NULL, 0), 0);
        say("woken %d", total);
    }
}
