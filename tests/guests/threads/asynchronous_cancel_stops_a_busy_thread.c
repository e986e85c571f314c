// asynchronous_cancel_stops_a_busy_thread.c - a thread that never enters the kernel is cancelled all the same.
// TEST: needs=preemption
#include "check.h"

static void* spin(void* arg) {
    CHECK_0(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL));
    for (volatile long i = 0;; i++) {
    }
}

int main(void) {
    for (int i = 0; i < 4; i++) {
        pthread_t t = start(spin, NULL);
        settle();
        CHECK_0(pthread_cancel(t));
        CHECK(finish(t) == PTHREAD_CANCELED);
    }
    say("ok");
}
