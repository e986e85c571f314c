// futex_private_memory_after_fork_is_separate.c - a wake in the child does not reach a waiter of the parent on its
// own copy.
#include "futex.h"

static int word;

static void* wait_for_value(void* arg) {
    while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) == 0) {
        long r = futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        if (r == 0) CHECK_EQ(word, 1);  // nobody woke us too soon
    }
    return NULL;
}

int main(void) {
    pthread_t t[5];
    for (int i = 0; i < 5; i++) t[i] = start(wait_for_value, NULL);
    settle();
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        CHECK_EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);  // the waiters stayed behind
        CHECK_EQ(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
        pthread_t mine = start(wait_for_value, NULL);
        settle();
        word = 1;
        futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        finish(mine);
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    word = 1;
    futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
    for (int i = 0; i < 5; i++) finish(t[i]);
    say("ok");
}
