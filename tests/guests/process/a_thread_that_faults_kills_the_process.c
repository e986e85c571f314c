// a_thread_that_faults_kills_the_process.c - a wild pointer in one of 20 threads: death by SIGSEGV, as natively.
// TEST: status=SIGSEGV
#include "check.h"

static sem_t said;

static void* work(void* arg) {
    if ((long)arg == 7) {
        CHECK_OK(sem_wait(&said));
        *(volatile int*)arg = 1;
    }
    sleep(1000);
    return NULL;
}

int main(void) {
    CHECK_OK(sem_init(&said, 0, 0));
    for (long i = 0; i < 20; i++) start(work, (void*)i);
    say("before");
    CHECK_OK(sem_post(&said));
    pause();
}
