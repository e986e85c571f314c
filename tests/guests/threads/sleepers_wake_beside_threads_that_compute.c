// sleepers_wake_beside_threads_that_compute.c - threads compute without a call, fewer and more of them than there are CPUs, and one counts in
// memory, which looks like waiting; beside them others sleep for longer and shorter, or one waits for a descriptor: all of them wake.
// TEST: timeout=60 needs=preemption
#include "check.h"

#include <sys/timerfd.h>

static volatile int stop;
static volatile unsigned long sum;

static void* compute(void* arg) {
    unsigned long h = 1;
    while (!stop)
        for (int i = 0; i < 1000; i++) h = h * 6364136223846793005ul + 1442695040888963407ul;
    sum += h;
    return arg;
}

static void* count(void* arg) {
    while (!stop)
        for (volatile int i = 0; i < 100000; i++) {
        }
    return arg;
}

static void* nap(void* arg) {
    long ms = (long)arg;
    for (int i = 0; i < 60 / ms; i++) sleep_ms(ms);
    return NULL;
}

static void* wait_for_timerfd(void* arg) {
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(fd >= 0);
    for (int i = 0; i < 5; i++) {
        struct itimerspec in = {.it_value = {0, 5000000}};
        unsigned long times;
        CHECK_OK(timerfd_settime(fd, 0, &in, NULL));
        CHECK_EQ(read(fd, &times, sizeof times), sizeof times);
    }
    close(fd);
    return arg;
}

int main(void) {
    for (int computing = 1; computing <= 4; computing++) {
        stop = 0;
        pthread_t busy[4];
        for (int i = 0; i < computing; i++) busy[i] = start(i == 1 ? count : compute, NULL);
        // Time alone to look after: a long sleep, then a shorter one that begins later.
        pthread_t sleeper = start(nap, (void*)30l);
        sleep_ms(5);
        nap((void*)2l);
        finish(sleeper);
        // Nothing but a descriptor.
        finish(start(wait_for_timerfd, NULL));
        stop = 1;
        for (int i = 0; i < computing; i++) finish(busy[i]);
    }
    say("ok");
}
