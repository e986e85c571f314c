// sleepers_wake_in_the_order_of_their_deadlines.c - deadlines far apart, started in reverse.
#include "check.h"

static _Atomic int place;
static int order[5];

static void* nap(void* arg) {
    struct timespec t = *(struct timespec*)arg;
    long id = t.tv_nsec % 10;
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    order[place++] = id;
    return NULL;
}

int main(void) {
    pthread_t t[5];
    struct timespec when[5];
    for (int i = 4; i >= 0; i--) {
        when[i] = deadline_in(CLOCK_MONOTONIC, ms(150 + 300 * i));
        when[i].tv_nsec = when[i].tv_nsec / 10 * 10 + i;
        t[i] = start(nap, &when[i]);
    }
    for (int i = 0; i < 5; i++) finish(t[i]);
    say("%d %d %d %d %d", order[0], order[1], order[2], order[3], order[4]);
}
