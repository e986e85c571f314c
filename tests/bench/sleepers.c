// sleepers.c - N threads that all wait at once, created and joined by one program: time and memory of each
//
// usage: sleepers [N [stack KiB]]   (default: 10,000 threads, libc's stack size)
#include <string.h>

#include "bench.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int released;

static void* wait_for_release(void* arg) {
    pthread_mutex_lock(&mutex);
    while (!released) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

static long kib_of(const char* file, const char* key) {
    char line[256];
    long kib = -1;
    FILE* f = fopen(file, "r");
    must(f != NULL, file);
    while (kib < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key))) kib = atol(line + strlen(key));
    fclose(f);
    return kib;
}

int main(int argc, char** argv) {
    long n = argc > 1 ? atol(argv[1]) : 10000;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    if (argc > 2) must(pthread_attr_setstacksize(&attr, (size_t)atol(argv[2]) * 1024) == 0, "stack size");
    pthread_t* t = malloc(sizeof *t * (size_t)n);
    must(t != NULL, "malloc");
    long free_before = kib_of("/proc/meminfo", "MemAvailable:");
    double begin = now_ns();
    for (long i = 0; i < n; i++)
        if (pthread_create(&t[i], &attr, wait_for_release, NULL)) {
            fprintf(stderr, "no more than %ld threads\n", i);
            return 1;
        }
    double created = now_ns();
    sched_yield();
    long free_during = kib_of("/proc/meminfo", "MemAvailable:");
    double measured = now_ns();
    pthread_mutex_lock(&mutex);
    released = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    for (long i = 0; i < n; i++) pthread_join(t[i], NULL);
    double joined = now_ns();
    result("create", (created - begin) / 1e6, "ms");
    result("join", (joined - measured) / 1e6, "ms");
    result("all", (joined - begin) / 1e9, "s");
    result("memory_per_thread", (double)(free_before - free_during) / (double)n, "KiB");
    result("resident", (double)kib_of("/proc/self/status", "VmHWM:") / 1024, "MiB");
    return 0;
}
