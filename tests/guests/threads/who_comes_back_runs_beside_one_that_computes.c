// One thread computes without ever making a call while nobody waits for time or descriptors: who gets ready on another kernel thread
// (back from a vfork, woken by a thread with descriptors of its own) still gets its turn beside it.
// TEST: timeout=30 needs=preemption
#include "check.h"

static volatile int stop;
static volatile unsigned long count;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int asked, answered;

static void* compute(void* arg) {
    while (!stop) count++;
    return arg;
}

static void* answer(void* arg) {
    CHECK_OK(unshare(CLONE_FILES));
    for (int round = 0; round < 10; round++) {
        pthread_mutex_lock(&mutex);
        while (asked <= round) pthread_cond_wait(&cond, &mutex);
        pthread_mutex_unlock(&mutex);
        struct timespec from, now;  // without a call
        clock_gettime(CLOCK_MONOTONIC, &from);
        do clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec < 10000000);
        pthread_mutex_lock(&mutex);
        answered++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

int main(void) {
    pthread_t busy = start(compute, NULL);
    for (int round = 0; round < 10; round++) {
        pid_t pid = vfork();
        if (pid == 0) {
            struct timespec nap = {0, 20000000};
            syscall(SYS_nanosleep, &nap, NULL);
            _exit(round);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(WEXITSTATUS(status), round);
    }
    pthread_t other = start(answer, NULL);
    for (int round = 0; round < 10; round++) {
        pthread_mutex_lock(&mutex);
        asked++;
        pthread_cond_broadcast(&cond);
        while (answered <= round) pthread_cond_wait(&cond, &mutex);
        pthread_mutex_unlock(&mutex);
    }
    stop = 1;
    finish(busy);
    finish(other);
    say("ok");
}
