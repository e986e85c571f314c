// One thread computes without ever making a call while nobody waits for time or descriptors: who gets ready on another kernel thread
// (back from a vfork, woken by a thread with descriptors of its own) still gets its turn beside it, and who begins to wait for a time there
// waits no longer.
// TEST: timeout=30 needs=preemption
#include "check.h"

static volatile int stop;
static volatile unsigned long sum;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int asked, answered;

static void* compute(void* arg) {
    // Nothing like a loop that waits.
    unsigned long h = 1;
    while (!stop)
        for (int i = 0; i < 1000; i++) h = h * 6364136223846793005ul + 1442695040888963407ul;
    sum += h;
    return arg;
}

static void compute_for(long ns) {
    struct timespec from, now;  // without a call
    clock_gettime(CLOCK_MONOTONIC, &from);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - from.tv_sec) * 1000000000 + now.tv_nsec - from.tv_nsec < ns);
}

static void* wait_for_a_time(void* arg) {
    CHECK_OK(unshare(CLONE_FILES));
    sem_t nobody;
    sem_init(&nobody, 0, 0);
    for (int round = 0; round < 5; round++) {
        compute_for(10000000);
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 1000000;
        if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
        CHECK_EQ(sem_timedwait(&nobody, &t), -1);
        CHECK_EQ(errno, ETIMEDOUT);
    }
    stop = 1;
    return arg;
}

static void* answer(void* arg) {
    CHECK_OK(unshare(CLONE_FILES));
    for (int round = 0; round < 10; round++) {
        pthread_mutex_lock(&mutex);
        while (asked <= round) pthread_cond_wait(&cond, &mutex);
        pthread_mutex_unlock(&mutex);
        compute_for(10000000);
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
    stop = 0;
    pthread_t timed = start(wait_for_a_time, NULL);
    compute(NULL);  // until that thread says so
    finish(timed);
    say("ok");
}
