// More threads that wait in loops than there are workers, beside one that waits for a pipe and two that compute: all wait for what
// the others bring, none is interrupted visibly, and the sums are exact.
// TEST: needs=preemption timeout=120
#include <stdatomic.h>

#include "check.h"

enum { kSpinners = 10, kRounds = 12 };
static atomic_int g_round, g_done;
static int g_pipe[2];

static void* spinner(void* argument) {
    for (int round = 1; round <= kRounds; round++) {
        while (atomic_load(&g_round) < round) __builtin_ia32_pause();
        atomic_fetch_add(&g_done, 1);
    }
    return argument;
}

static void* computer(void* argument) {
    double x = 1.0;
    unsigned long y = (unsigned long)argument;
    for (int i = 0; i < 20000000; i++) {
        x = x * 1.0000001 + 1e-9;
        y = y * 6364136223846793005ul + 1442695040888963407ul;
    }
    unsigned long* out = malloc(2 * sizeof *out);
    memcpy(out, &x, sizeof x);
    out[1] = y;
    return out;
}

static void* reader(void* argument) {
    char byte;
    long got = 0;
    for (ssize_t n; (n = read(g_pipe[0], &byte, 1)) != 0; got++) {
        CHECK(n == 1);  // no EINTR
        atomic_fetch_add(&g_round, 1);
    }
    *(long*)argument = got;
    return NULL;
}

int main(void) {
    pthread_t spinners[kSpinners], computers[2], r;
    long got = 0;
    CHECK(pipe(g_pipe) == 0);
    CHECK(pthread_create(&r, NULL, reader, &got) == 0);
    for (int i = 0; i < kSpinners; i++) CHECK(pthread_create(&spinners[i], NULL, spinner, NULL) == 0);
    for (long i = 0; i < 2; i++) CHECK(pthread_create(&computers[i], NULL, computer, (void*)1) == 0);
    for (int round = 1; round <= kRounds; round++) {
        CHECK(write(g_pipe[1], "x", 1) == 1);
        while (atomic_load(&g_done) < round * kSpinners) continue;
        CHECK(atomic_load(&g_round) == round);
    }
    close(g_pipe[1]);
    for (int i = 0; i < kSpinners; i++) CHECK(pthread_join(spinners[i], NULL) == 0);
    CHECK(pthread_join(r, NULL) == 0);
    void *a, *b;
    CHECK(pthread_join(computers[0], &a) == 0 && pthread_join(computers[1], &b) == 0);
    CHECK(memcmp(a, b, 16) == 0);
    say("%ld bytes, %d answers", got, atomic_load(&g_done));
    return 0;
}
