// sleeps_of_many_threads_overlap.c - 300 threads sleep 200 ms at the same time, not one after the other; none too
// short.
// TEST: link=dynamic,static
#include "check.h"

static void* nap(void* arg) {
    struct timespec t = timespec_of(ms(200) + (long)arg * 1000);
    long long begin = now_ns();
    CHECK_OK(nanosleep(&t, NULL));
    CHECK(now_ns() - begin >= ms(200) + (long)arg * 1000);
    return NULL;
}

int main(void) {
    pthread_t t[300];
    long long begin = now_ns();
    for (long i = 0; i < 300; i++) t[i] = start(nap, (void*)i);
    for (int i = 0; i < 300; i++) finish(t[i]);
    long long took = now_ns() - begin;
    CHECK(took >= ms(200) && took < ms(10000));  // 60 s if they were serial
    say("ok");
}
