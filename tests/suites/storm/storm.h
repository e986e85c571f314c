// storm.h - what the storm programs share: checks, a watch dog, cheap random numbers
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x)                                                                              \
    do {                                                                                      \
        if (!(x)) {                                                                           \
            dprintf(2, "%s:%d: %s does not hold (errno %d)\n", __FILE__, __LINE__, #x, errno); \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

static inline unsigned next_random(unsigned* state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline pthread_t start(void* (*body)(void*), void* argument) {
    pthread_t t;
    int r = pthread_create(&t, NULL, body, argument);
    errno = r;
    CHECK(r == 0);
    return t;
}

static inline void finish(pthread_t t) { CHECK(pthread_join(t, NULL) == 0); }

static inline void on_signal(int sig, void (*handler)(int), int flags) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = handler;
    a.sa_flags = flags;
    CHECK(sigaction(sig, &a, NULL) == 0);
}

static inline int times(int argc, char** argv, int standard) { return argc > 1 ? atoi(argv[1]) : standard; }

// All of it, whatever signals come.
static inline void write_all(int fd, const void* data, size_t n) {
    for (const char* p = data; n;) {
        ssize_t r = write(fd, p, n);
        if (r < 0 && errno == EINTR) continue;
        CHECK(r > 0);
        p += r;
        n -= (size_t)r;
    }
}
static inline void read_all(int fd, void* data, size_t n) {
    for (char* p = data; n;) {
        ssize_t r = read(fd, p, n);
        if (r < 0 && errno == EINTR) continue;
        CHECK(r > 0);
        p += r;
        n -= (size_t)r;
    }
}
static inline pid_t wait_for(pid_t pid, int* status) {
    pid_t r;
    do r = waitpid(pid, status, 0);
    while (r < 0 && errno == EINTR);
    return r;
}
