// fork_copies_memory_and_only_the_calling_thread.c - the child has one thread, its own memory, and can thread and
// fork again.
// TEST: link=dynamic,static,musl
#include "check.h"

static int value = 1;
static pthread_barrier_t started;

static void* stay(void* arg) {
    pthread_barrier_wait(&started);
    for (;;) pause();
    return NULL;
}

static void* add(void* arg) {
    value += 10;
    return NULL;
}

static int child(int depth) {
    CHECK_EQ(getpid(), gettid());
    struct stat st;
    CHECK_OK(stat("/proc/self/task", &st));
    CHECK_EQ(st.st_nlink, 3);  // ".", ".." and the one thread
    value++;
    finish(start(add, NULL));
    if (depth) {
        pid_t p = fork();
        CHECK_OK(p);
        if (p == 0) _exit(child(depth - 1));
        CHECK_EXIT(p, value + 11);
    }
    return value;
}

int main(void) {
    pthread_barrier_init(&started, NULL, 11);
    for (int i = 0; i < 10; i++) start(stay, NULL);
    pthread_barrier_wait(&started);
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) _exit(child(2));
    CHECK_EXIT(p, 12);
    CHECK_EQ(value, 1);
    say("ok");
}
