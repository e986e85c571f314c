// check.h - what every guest program checks itself with: the first thing that is wrong prints one line and ends
// with 1.
//
// Guests print nothing that may differ from run to run: no times, addresses, pids, tids. Waits that must be seen
// "blocked" are never assumed to be so after a pause: what is checked holds whether or not the pause was long enough.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

// one write(2) a line, so lines of several processes do not mix and nothing is flushed twice after a fork
__attribute__((format(printf, 1, 2), unused)) static void say(const char* format, ...) {
    char line[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (n > (int)sizeof line - 2) n = sizeof line - 2;
    line[n++] = '\n';
    if (write(1, line, n) != n) _exit(99);
}

__attribute__((format(printf, 3, 4), noreturn, unused)) static void check_failed(const char* file, int line,
                                                                                 const char* format, ...) {
    char text[1024];
    va_list args;
    int saved = errno;
    int n = snprintf(text, sizeof text, "%s:%d: ", file, line);
    va_start(args, format);
    n += vsnprintf(text + n, sizeof text - n, format, args);
    va_end(args);
    if (n > (int)sizeof text - 80) n = sizeof text - 80;
    n += snprintf(text + n, sizeof text - n, " (errno %d %s)\n", saved, strerror(saved));
    if (write(2, text, n) != n) _exit(98);
    _exit(1);
}

#define CHECK(cond)                                                                \
    do {                                                                           \
        if (!(cond)) check_failed(__FILE_NAME__, __LINE__, "not true: %s", #cond); \
    } while (0)

#define CHECK_EQ(a, b)                                                                                    \
    do {                                                                                                  \
        long long check_a = (long long)(a), check_b = (long long)(b);                                     \
        if (check_a != check_b)                                                                           \
            check_failed(__FILE_NAME__, __LINE__, "%s is %lld, not %s = %lld", #a, check_a, #b, check_b); \
    } while (0)

// a call that must not return -1
#define CHECK_OK(call)                                                                      \
    do {                                                                                    \
        if ((long)(call) == -1) check_failed(__FILE_NAME__, __LINE__, "%s: failed", #call); \
    } while (0)

// a call that must return -1 with this errno
#define CHECK_ERR(call, error)                                                                          \
    do {                                                                                                \
        errno = 0;                                                                                      \
        long check_r = (long)(call);                                                                    \
        if (check_r != -1 || errno != (error))                                                          \
            check_failed(__FILE_NAME__, __LINE__, "%s is %ld, not -1 with %s", #call, check_r, #error); \
    } while (0)

// a pthread function: 0 or the error itself
#define CHECK_0(call) CHECK_EQ(call, 0)

__attribute__((unused)) static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

__attribute__((unused)) static long long ms(long long n) {
    return n * 1000000LL;
}

__attribute__((unused)) static struct timespec timespec_of(long long ns) {
    struct timespec t;
    t.tv_sec = ns / 1000000000LL;
    t.tv_nsec = ns % 1000000000LL;
    return t;
}

// a point of the given clock, ns from now
__attribute__((unused)) static struct timespec deadline_in(clockid_t clock, long long ns) {
    struct timespec t;
    clock_gettime(clock, &t);
    ns += t.tv_nsec;
    t.tv_sec += ns / 1000000000LL;
    t.tv_nsec = ns % 1000000000LL;
    return t;
}

// sleeps in full, whatever signals arrive
__attribute__((unused)) static void sleep_ms(long n) {
    struct timespec t = deadline_in(CLOCK_MONOTONIC, ms(n));
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

// time for other threads to get into their waits; what is checked afterwards may not depend on it
__attribute__((unused)) static void settle(void) {
    // Longer on a machine so busy that even this takes longer.
    for (int i = 0; i < 10; i++) {
        long long begin = now_ns();
        sleep_ms(30);
        if (now_ns() - begin < ms(35)) break;
    }
}

typedef void* (*thread_function)(void*);

__attribute__((unused)) static pthread_t start(thread_function function, void* arg) {
    pthread_t t;
    int e = pthread_create(&t, NULL, function, arg);
    if (e) check_failed(__FILE_NAME__, __LINE__, "pthread_create: %s", strerror(e));
    return t;
}

__attribute__((unused)) static void* finish(pthread_t t) {
    void* result;
    int e = pthread_join(t, &result);
    if (e) check_failed(__FILE_NAME__, __LINE__, "pthread_join: %s", strerror(e));
    return result;
}

__attribute__((unused)) static void handle(int sig, void (*handler)(int), int flags) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = handler;
    a.sa_flags = flags;
    CHECK_OK(sigaction(sig, &a, NULL));
}

__attribute__((unused)) static void handle_info(int sig, void (*handler)(int, siginfo_t*, void*), int flags) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = handler;
    a.sa_flags = flags | SA_SIGINFO;
    CHECK_OK(sigaction(sig, &a, NULL));
}

__attribute__((unused)) static sigset_t signal_set(int first, int second) {
    sigset_t s;
    sigemptyset(&s);
    if (first) sigaddset(&s, first);
    if (second) sigaddset(&s, second);
    return s;
}

__attribute__((unused)) static void block_signal(int sig) {
    sigset_t s = signal_set(sig, 0);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &s, NULL));
}

__attribute__((unused)) static void unblock_signal(int sig) {
    sigset_t s = signal_set(sig, 0);
    CHECK_0(pthread_sigmask(SIG_UNBLOCK, &s, NULL));
}

// waits for the child and returns its wait status
__attribute__((unused)) static int status_of(pid_t child) {
    int status;
    pid_t got;
    do got = waitpid(child, &status, 0);
    while (got == -1 && errno == EINTR);
    if (got != child) check_failed(__FILE_NAME__, __LINE__, "waitpid is %d", (int)got);
    return status;
}

// waits for the child, which must exit with the given code
#define CHECK_EXIT(child, code)                                                                               \
    do {                                                                                                      \
        int check_s = status_of(child);                                                                       \
        if (!WIFEXITED(check_s) || WEXITSTATUS(check_s) != (code))                                            \
            check_failed(__FILE_NAME__, __LINE__, "status of %s is %#x, not exit %d", #child, check_s, code); \
    } while (0)

#define CHECK_KILLED(child, sig)                                                                               \
    do {                                                                                                       \
        int check_s = status_of(child);                                                                        \
        if (!WIFSIGNALED(check_s) || WTERMSIG(check_s) != (sig))                                               \
            check_failed(__FILE_NAME__, __LINE__, "status of %s is %#x, not signal %d", #child, check_s, sig); \
    } while (0)

// Sends a signal to one thread again and again until told to stop: the only way to be sure that a *blocked* call gets
// it.
struct pester {
    pthread_t target, thread;
    int sig;
    volatile int stop;
};

__attribute__((unused)) static void* pester_main(void* arg) {
    struct pester* p = (struct pester*)arg;
    while (!p->stop) {
        sleep_ms(10);
        if (!p->stop) pthread_kill(p->target, p->sig);
    }
    return NULL;
}

__attribute__((unused)) static void pester_start(struct pester* p, pthread_t target, int sig) {
    p->target = target;
    p->sig = sig;
    p->stop = 0;
    p->thread = start(pester_main, p);
}

__attribute__((unused)) static void pester_stop(struct pester* p) {
    p->stop = 1;
    finish(p->thread);
}

__attribute__((unused)) static void ignore_signal_number(int sig) {
    (void)sig;
}

// "read" bytes until all are there; returns what came before the end of file
__attribute__((unused)) static size_t read_all(int fd, void* buffer, size_t size) {
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, (char*)buffer + got, size - got);
        if (n == -1 && errno == EINTR) continue;
        if (n == -1) check_failed(__FILE_NAME__, __LINE__, "read");
        if (n == 0) break;
        got += n;
    }
    return got;
}

__attribute__((unused)) static void make_pipe(int fds[2]) {
    CHECK_OK(pipe(fds));
}
