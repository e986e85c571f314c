// a_timer_ends_while_the_last_worker_computes.c - whoever looked after timers may be the one that computes now: sleepers still wake.
// TEST: timeout=40
#include "check.h"

static _Atomic int woken;

static void* nap(void* arg) {
    for (int i = 0; i < 40; i++) {
        sleep_ms(1 + (long)arg % 3);
        woken++;
    }
    return NULL;
}

// Computes until somebody has woken from a sleep meanwhile.
static void* compute(void* arg) {
    for (int i = 0; i < 30; i++) {
        int before = woken;
        while (woken == before && before < 3 * 40) {
        }
        sleep_ms(1);
    }
    return NULL;
}

int main(void) {
    for (int round = 0; round < 6; round++) {
        pthread_t t[4];
        woken = 0;
        for (long i = 0; i < 3; i++) t[i] = start(nap, (void*)i);
        t[3] = start(compute, NULL);
        for (int i = 0; i < 4; i++) finish(t[i]);
    }
    say("ok");
}
