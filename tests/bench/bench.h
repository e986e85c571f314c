// bench.h - time and results of a benchmark program: prints `METRIC NUMBER UNIT`, one line each, for scripts/bench.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

// units: ns, us, ms, s, KiB…: smaller is better; anything ending in /s: larger is better
static inline void result(const char* metric, double value, const char* unit) {
    printf("%s %.2f %s\n", metric, value, unit);
    fflush(stdout);
}

static inline void must(int ok, const char* what) {
    if (ok) return;
    perror(what);
    exit(1);
}

// runs body(n) with a growing n until it takes 0.2 s; returns ns for each
static inline double per_call(void (*body)(long)) {
    body(10);
    for (long n = 100;; n *= 4) {
        double begin = now_ns();
        body(n);
        double took = now_ns() - begin;
        if (took > 2e8) return took / n;
    }
}

// Is the metric named on the command line? With no name on it: all are.
static inline int chosen(int argc, char** argv, const char* metric) {
    int names = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') continue;
        if (strcmp(argv[i], metric) == 0) return 1;
        names++;
    }
    return !names;
}

static inline int option(int argc, char** argv, const char* word) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], word) == 0) return 1;
    return 0;
}

// The calling thread to the index-th of the CPUs that the process may use.
static inline void pin_to(int index) {
    cpu_set_t all, one;
    must(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && index-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            must(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
            return;
        }
    fprintf(stderr, "bench: not so many CPUs\n");
    exit(1);
}
