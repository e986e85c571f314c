// registers_survive_signal_handlers.c - a timer interrupts a computation in all registers thousands of times;
// handlers use them all.
#include <immintrin.h>
#include <math.h>

#include "check.h"

static volatile int hits;

static void disturb(int sig) {
    volatile double x = hits;
    for (int i = 0; i < 5; i++) x = x * 1.5 + 1;
    char text[128];
    memset(text, sig, sizeof text);  // vector registers
    snprintf(text, sizeof text, "%f %Lf", x, (long double)x / 3);
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm15, %%xmm15; pcmpeqd %%xmm7, %%xmm7" ::
                         : "xmm0", "xmm7", "xmm15");
    hits++;
}

__attribute__((noinline)) static double compute(int seed) {
    double a = seed, b = seed + 1, c = seed + 2, d = seed + 3;
    uint64_t x = seed + 1, y = 88172645463325252ull;
    for (int i = 0; i < 20000; i++) {
        a = a * 0.999 + b * 0.001;
        b = b * 0.998 + c * 0.002;
        c = c * 0.997 + d * 0.003;
        d = d * 0.996 + a * 0.004;
        y ^= y << 13, y ^= y >> 7, y ^= y << 17;
        x = x * 6364136223846793005ull + y;
    }
    return a + b + c + d + (x >> 40);
}

static long double compute_x87(int seed) {
    long double a = seed + 1;
    for (int i = 0; i < 5000; i++) a = a * 1.0000001L + 1.0L / (i + 1);
    return a;
}

int main(void) {
    double want[4];
    long double want_x87[4];
    for (int i = 0; i < 4; i++) {
        want[i] = compute(i);
        want_x87[i] = compute_x87(i);
    }
    handle(SIGALRM, disturb, SA_RESTART);
    struct itimerval every = {{0, 200}, {0, 200}};
    CHECK_OK(setitimer(ITIMER_REAL, &every, NULL));
    for (int i = 0; hits < 300; i++) {
        CHECK(compute(i % 4) == want[i % 4]);
        CHECK(compute_x87(i % 4) == want_x87[i % 4]);
    }
    say("ok");
}
