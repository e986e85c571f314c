// handover.c - two threads hand a turn to each other over futexes: CPU time of one switch; a line on standard input says how many
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "bench.h"

static atomic_int turn[2];
static long rounds;

static void wait_turn(int mine) {
    while (!atomic_load(&turn[mine])) syscall(SYS_futex, &turn[mine], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_store(&turn[mine], 0);
}
static void give_turn(int mine) {
    atomic_store(&turn[!mine], 1);
    syscall(SYS_futex, &turn[!mine], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
static void* run(void* mine) {
    for (long i = 0; i < rounds; i++) {
        wait_turn(mine != NULL);
        give_turn(mine != NULL);
    }
    return NULL;
}

static double cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
    char line[32];
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        pthread_t a, b;
        rounds = atol(line);
        double begin = cpu_ns();
        atomic_store(&turn[0], 1);
        pthread_create(&a, NULL, run, NULL);
        pthread_create(&b, NULL, run, &turn);
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        atomic_store(&turn[0], 0);
        result("switch", (cpu_ns() - begin) / (2.0 * rounds), "ns");
    }
    return 0;
}
