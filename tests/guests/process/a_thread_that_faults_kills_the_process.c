// a_thread_that_faults_kills_the_process.c - a wild pointer in one of 20 threads: death by SIGSEGV, as natively.
// TEST: status=SIGSEGV
#include "check.h"

static void* work(void* arg) {
    sleep_ms(20);
    if ((long)arg == 7) *(volatile int*)arg = 1;
    sleep(1000);
    return NULL;
}

int main(void) {
    for (long i = 0; i < 20; i++) start(work, (void*)i);
    say("before");
    pause();
}
