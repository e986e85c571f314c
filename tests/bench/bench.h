// bench.h - time and results of a benchmark program: prints `METRIC NUMBER UNIT`, one line each, for scripts/bench.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

// units: ns, us, ms, s: smaller is better; anything ending in /s: larger is better
static inline void result(const char* metric, double value, const char* unit) {
    printf("%s %.1f %s\n", metric, value, unit);
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
