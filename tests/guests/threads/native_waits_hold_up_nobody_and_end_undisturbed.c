// Threads wait in calls that the policy leaves to the kernel; whom they wait for runs, and no wait ends early.
// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/threads/native_waits.json" needs=policy
#include "../check.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int reads[2], polls[2], epolls[2], ready, sleeping, stop;
static long spins;

static void *reader(void *unused) {
    char c;
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    CHECK(syscall(SYS_read, reads[0], &c, 1L) == 1 && c == 'r');
    return unused;
}

static void *poller(void *unused) {
    struct pollfd p = {polls[0], POLLIN, 0};
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    CHECK(syscall(SYS_poll, &p, 1L, -1L) == 1 && (p.revents & POLLIN));
    return unused;
}

static void *epoller(void *unused) {
    int ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = 7}, got;
    CHECK(ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, epolls[0], &e) == 0);
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    CHECK(syscall(SYS_epoll_wait, ep, &got, 1L, -1L) == 1 && got.data.fd == 7);
    close(ep);
    return unused;
}

// 20 ms each: many ticks would fall into it.
static void *sleeper(void *unused) {
    for (int i = 0; i < 10; i++) {
        struct timespec t = {0, 20000000}, left = {-1, -1};
        CHECK(syscall(SYS_nanosleep, &t, &left) == 0);
        CHECK(left.tv_sec == -1);
        __atomic_add_fetch(&sleeping, 1, __ATOMIC_SEQ_CST);
    }
    return unused;
}

static void *spinner(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) spins++;
    return unused;
}

int main(void) {
    pthread_t t[5];
    void *(*mains[5])(void *) = {reader, poller, epoller, sleeper, spinner};
    CHECK(pipe(reads) == 0 && pipe(polls) == 0 && pipe(epolls) == 0);
    for (int i = 0; i < 5; i++) CHECK(pthread_create(&t[i], NULL, mains[i], NULL) == 0);
    while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < 3) sched_yield();
    // All of them are in the kernel by and by; this thread has to get its turns among them.
    for (int i = 0; i < 100; i++) {
        struct timespec ms = {0, 1000000};
        CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL) == 0);
    }
    CHECK(write(reads[1], "r", 1) == 1 && write(polls[1], "p", 1) == 1 && write(epolls[1], "e", 1) == 1);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(t[i], NULL) == 0);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(t[4], NULL) == 0);
    CHECK(sleeping == 10 && spins > 0);
    puts("ok");
    return 0;
}
