// A CLONE_VM child that is no thread, and the threads of its parent, wait for and wake each other, whatever the flag;
// also a thread that waited before there was a child, and one that waits for the word that the child's end clears.
#include <linux/futex.h>

#include "../check.h"

static int from_child, from_parent, from_parent_shared, early, cleared = 1;

static long futex(int* word, int op, int value) {
    return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void wait_for(int* word, int op) {
    while (!__atomic_load_n(word, __ATOMIC_SEQ_CST)) futex(word, op, 0);
}

static void set(int* word, int op) {
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    futex(word, op, 1000);
}

static void* waits_early(void* arg) {
    wait_for(&early, FUTEX_WAIT_PRIVATE);
    return NULL;
}

static void* waits_late(void* arg) {
    wait_for(&from_child, FUTEX_WAIT_PRIVATE);
    return NULL;
}

static int child(void* arg) {
    wait_for(&from_parent, FUTEX_WAIT_PRIVATE);
    wait_for(&from_parent_shared, FUTEX_WAIT);
    usleep(20000);
    set(&early, FUTEX_WAKE_PRIVATE);
    set(&from_child, FUTEX_WAKE_PRIVATE);
    usleep(20000);
    syscall(SYS_exit, 5);
    return 0;
}

int main(void) {
    pthread_t threads[3];
    CHECK(!pthread_create(&threads[0], NULL, waits_early, NULL));
    settle();
    char* stack = malloc(65536);
    pid_t p = clone(child, stack + 65536, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL, &cleared);
    CHECK_OK(p);
    CHECK(!pthread_create(&threads[1], NULL, waits_late, NULL));
    CHECK(!pthread_create(&threads[2], NULL, waits_late, NULL));
    settle();
    set(&from_parent, FUTEX_WAKE_PRIVATE);
    settle();
    set(&from_parent_shared, FUTEX_WAKE);
    while (__atomic_load_n(&cleared, __ATOMIC_SEQ_CST)) futex(&cleared, FUTEX_WAIT, 1);
    for (int i = 0; i < 3; i++) CHECK(!pthread_join(threads[i], NULL));
    CHECK_EXIT(p, 5);

    // Locks and conditions of libc go on working.
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    CHECK(!pthread_mutex_lock(&lock));
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 10000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
    CHECK(pthread_cond_timedwait(&changed, &lock, &soon) == ETIMEDOUT);
    CHECK(!pthread_mutex_unlock(&lock));
    say("ok");
}
