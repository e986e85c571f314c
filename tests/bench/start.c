// start.c - how long a command takes from posix_spawn to its end, median of many. usage: start TIMES COMMAND ARGS…
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

static int by_value(const void* a, const void* b) {
    double x = *(const double*)a, y = *(const double*)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char** argv) {
    extern char** environ;
    if (argc < 3) return 2;
    int n = atoi(argv[1]), status;
    double* took = calloc(n, sizeof *took);
    for (int i = 0; i < n; i++) {
        pid_t p;
        double begin = now_ns();
        must(posix_spawnp(&p, argv[2], NULL, NULL, argv + 2, environ) == 0, argv[2]);
        must(waitpid(p, &status, 0) == p && status == 0, "its end");
        took[i] = now_ns() - begin;
    }
    qsort(took, n, sizeof *took, by_value);
    result("start", took[n / 2] / 1000, "us");
    return 0;
}
