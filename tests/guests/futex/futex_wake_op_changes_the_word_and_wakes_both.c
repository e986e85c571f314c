// futex_wake_op_changes_the_word_and_wakes_both.c - all operations and comparisons of FUTEX_WAKE_OP.
#include "futex.h"

static int first, second;

static long wake_op(int op, int operand, int cmp, int against) {
    return futex(&first, FUTEX_WAKE_OP_PRIVATE, 100, (void*)100L, &second, FUTEX_OP(op, operand, cmp, against));
}

static void* wait_on(void* word) {
    int value = *(int*)word;
    long r = futex(word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    CHECK(r == 0 || errno == EAGAIN);
    return NULL;
}

int main(void) {
    second = 10;
    wake_op(FUTEX_OP_SET, 3, FUTEX_OP_CMP_EQ, 10);
    CHECK_EQ(second, 3);
    wake_op(FUTEX_OP_ADD, 4, FUTEX_OP_CMP_NE, 10);
    CHECK_EQ(second, 7);
    wake_op(FUTEX_OP_OR, 8, FUTEX_OP_CMP_LT, 10);
    CHECK_EQ(second, 15);
    wake_op(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_GE, 10);
    CHECK_EQ(second, 14);
    wake_op(FUTEX_OP_XOR, 6, FUTEX_OP_CMP_LE, 10);
    CHECK_EQ(second, 8);
    wake_op(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 5, FUTEX_OP_CMP_GT, 0);
    CHECK_EQ(second, 32);
    CHECK_ERR(futex(&first, FUTEX_WAKE_OP_PRIVATE, 1, (void*)1L, &second, FUTEX_OP(7, 0, 0, 0)), ENOSYS);
    // waiters on both words: the second ones wake only when the comparison holds
    second = 0;
    pthread_t a = start(wait_on, &first), b = start(wait_on, &second);
    sleep_ms(100);
    long n = wake_op(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1);  // false
    CHECK(n <= 1);
    n += wake_op(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0);  // true
    CHECK(n <= 2);
    first = 1;
    while (pthread_tryjoin_np(a, NULL)) futex(&first, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), sleep_ms(1);
    while (pthread_tryjoin_np(b, NULL)) futex(&second, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), sleep_ms(1);
    say("ok");
}
