// futex_in_shared_memory_wakes_other_processes.c - MAP_SHARED anonymous and file memory, at different addresses, and
// threads.
#include "futex.h"

static void child_waits(int* word) {
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0) {
        long r = futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
        CHECK(r == 0 || errno == EAGAIN);
    }
    _exit(0);
}

static void* thread_waits(void* word) {
    while (__atomic_load_n((int*)word, __ATOMIC_SEQ_CST) == 0) futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
    return NULL;
}

static void* answer(void* words) {
    int* w = words;
    while (w[0] == 0) futex(&w[0], FUTEX_WAIT, 0, NULL, NULL, 0);
    w[1] = 1;
    futex(&w[1], FUTEX_WAKE, 1, NULL, NULL, 0);
    return NULL;
}

int main(void) {
    int fd = open("shared", O_RDWR | O_CREAT, 0600);
    CHECK_OK(ftruncate(fd, 4096));
    int* anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int* file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int* again = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid_t a = fork();
    if (a == 0) child_waits(anonymous);
    pid_t b = fork();
    if (b == 0) child_waits(again);
    pthread_t t = start(thread_waits, again), u = start(thread_waits, anonymous);
    settle();
    *anonymous = 1;
    CHECK_OK(futex(anonymous, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    *file = 1;
    CHECK_OK(futex(file, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    CHECK_EXIT(a, 0);
    CHECK_EXIT(b, 0);
    finish(t);
    finish(u);
    say("woken across processes");

    memset(anonymous, 0, 4096);
    t = start(answer, anonymous);
    pid_t c = fork();
    if (c == 0) {
        anonymous[0] = 1;
        futex(&anonymous[0], FUTEX_WAKE, 1, NULL, NULL, 0);
        while (anonymous[1] == 0) futex(&anonymous[1], FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(0);
    }
    CHECK_EXIT(c, 0);
    finish(t);
    struct timespec soon = timespec_of(ms(50));
    CHECK_ERR(futex(&anonymous[5], FUTEX_WAIT, 0, &soon, NULL, 0), ETIMEDOUT);
    CHECK_ERR(futex(&anonymous[5], FUTEX_WAIT, 1, &soon, NULL, 0), EAGAIN);
    // a private mapping of the same file is another futex
    int* own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK_ERR(futex(&own[9], FUTEX_WAIT, 0, &soon, NULL, 0), ETIMEDOUT);
    say("ok");
}
