// nolibc_threads_by_raw_clone.c - 100 raw threads without TLS: a futex lock, waits, pipes, CLEARTID joins, three
// rounds.
// TEST: link=nolibc
#include "nolibc.h"

enum { N = 100 };
static struct raw_thread threads[N];
static int lock, gate, arrived;
static long counter;
static int fds[2];

static void take(void) {
    int seen = 0;
    if (__atomic_compare_exchange_n(&lock, &seen, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
    while (__atomic_exchange_n(&lock, 2, __ATOMIC_SEQ_CST) != 0) futex_wait(&lock, 2);
}

static void give(void) {
    if (__atomic_exchange_n(&lock, 0, __ATOMIC_SEQ_CST) == 2) futex_wake(&lock, 1);
}

static void work(void* arg) {
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&gate, __ATOMIC_SEQ_CST)) futex_wait(&gate, 0);
    for (int i = 0; i < 50; i++) {
        take();
        long seen = counter;
        if (i % 10 == 0) sys(NR_sched_yield, 0, 0, 0);
        counter = seen + 1;
        give();
    }
    struct {
        long s, n;
    } t = {0, 1000000 + 1000 * (long)arg};
    CHECK(sys(NR_nanosleep, &t, 0, 0) == 0);
    char c = 'x';
    if ((long)arg % 2) {
        CHECK(sys(NR_write, fds[1], &c, 1) == 1);
    } else {
        CHECK(sys(NR_read, fds[0], &c, 1) == 1);
    }
    CHECK(sys(NR_gettid, 0, 0, 0) != sys(NR_getpid, 0, 0, 0));
}

int guest_main(long argc, char** argv, char** envp) {
    CHECK(sys(NR_pipe, fds, 0, 0) == 0);
    for (int round = 0; round < 3; round++) {
        gate = arrived = 0;
        for (long i = 0; i < N; i++) raw_start(&threads[i], work, (void*)i);
        while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < N) sys(NR_sched_yield, 0, 0, 0);
        __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
        futex_wake(&gate, 1000);
        for (int i = 0; i < N; i++) raw_join(&threads[i]);
    }
    say_number("counter ", counter);
    return 0;
}
