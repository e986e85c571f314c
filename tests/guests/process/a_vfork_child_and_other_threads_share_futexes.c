// a_vfork_child_and_other_threads_share_futexes.c - what a vfork child wakes, threads of its parent wait for, and the
// other way round; also a word that is cleared at the child's end. Locks and conditions of libc go on working
// afterwards.
#include <linux/futex.h>

#include "../check.h"

enum { kRounds = 20, kWaiters = 3 };
static int from_child, from_parent, in_child, done, cleared;
static int flag;
static char child_stack[65536] __attribute__((aligned(16)));

static long futex(int* word, int op, int value, long more, int* second) {
    return syscall(SYS_futex, word, op | flag, value, more, second, 0);
}

static void wait_for(int* word) {
    while (!__atomic_load_n(word, __ATOMIC_SEQ_CST)) futex(word, FUTEX_WAIT, 0, 0, NULL);
}

static void set(int* word) {
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    futex(word, FUTEX_WAKE, INT_MAX, 0, NULL);
}

static void* wait_for_child(void* arg) {
    wait_for(&from_child);
    __atomic_fetch_add(&done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void* answer_child(void* arg) {
    wait_for(&in_child);
    if (arg) sleep_ms(2);
    set(&from_parent);
    return NULL;
}

static void* wait_for_end(void* arg) {
    while (__atomic_load_n(&cleared, __ATOMIC_SEQ_CST)) syscall(SYS_futex, &cleared, FUTEX_WAIT, 1, NULL, NULL, 0);
    return NULL;
}

static void round_of(long number) {
    pthread_t waiters[kWaiters], answerer;
    from_child = from_parent = in_child = done = 0;
    for (int i = 0; i < kWaiters; i++) waiters[i] = start(wait_for_child, NULL);
    answerer = start(answer_child, (void*)(number % 2));
    if (number % 3) sleep_ms(2);
    pid_t child = vfork();
    if (!child) {
        set(&from_child);
        set(&in_child);
        wait_for(&from_parent);
        _exit(3);
    }
    CHECK_OK(child);
    CHECK_EXIT(child, 3);
    for (int i = 0; i < kWaiters; i++) finish(waiters[i]);
    finish(answerer);
    CHECK_EQ(done, kWaiters);
}

static int ends_at_once(void* arg) {
    syscall(SYS_exit, 4);
    return 0;
}

static void end_clears(void) {
    cleared = 1;
    pthread_t waiter = start(wait_for_end, NULL);
    sleep_ms(2);
    pid_t child = clone(ends_at_once, child_stack + sizeof child_stack,
                        CLONE_VM | CLONE_VFORK | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL, &cleared);
    CHECK_OK(child);
    CHECK_EXIT(child, 4);
    finish(waiter);
}

static void* all(void* arg) {
    for (int i = 0; i < kRounds; i++) {
        flag = i % 4 < 2 ? FUTEX_PRIVATE_FLAG : 0;
        round_of(i);
    }
    if (arg) end_clears();
    return NULL;
}

int main(void) {
    all(NULL);
    finish(start(all, &flag));
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    struct timespec soon = deadline_in(CLOCK_REALTIME, ms(10));
    CHECK_0(pthread_mutex_lock(&lock));
    CHECK_EQ(pthread_cond_timedwait(&changed, &lock, &soon), ETIMEDOUT);
    CHECK_0(pthread_mutex_unlock(&lock));
    say("ok");
}
