// a_pi_mutex_is_shared_by_processes_with_and_without_threads.c - a priority inheritance mutex in shared memory excludes the threads of
// this process, a child without threads and one with some; trylock and timed locks say what they should.
#include "../check.h"

enum { kRounds = 60, kThreads = 4 };
struct shared {
    pthread_mutex_t m;
    int inside, entered;
};
static struct shared* s;

static void* count(void* arg) {
    for (int i = 0; i < kRounds; i++) {
        CHECK_0(pthread_mutex_lock(&s->m));
        CHECK_EQ(s->inside++, 0);
        if (i % 8 == 0) sched_yield();
        s->inside--;
        s->entered++;
        CHECK_0(pthread_mutex_unlock(&s->m));
    }
    return arg;
}

static void count_by_threads(void) {
    pthread_t t[kThreads];
    for (int i = 0; i < kThreads; i++) t[i] = start(count, NULL);
    for (int i = 0; i < kThreads; i++) finish(t[i]);
}

static void* hold_while_a_child_tries(void* arg) {
    CHECK_0(pthread_mutex_lock(&s->m));
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        struct timespec t = deadline_in(CLOCK_REALTIME, ms(20));
        CHECK_EQ(pthread_mutex_trylock(&s->m), EBUSY);
        CHECK_EQ(pthread_mutex_timedlock(&s->m, &t), ETIMEDOUT);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    CHECK_0(pthread_mutex_unlock(&s->m));
    return NULL;
}

int main(void) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    CHECK_0(pthread_mutex_init(&s->m, &a));
    finish(start(hold_while_a_child_tries, NULL));
    pid_t alone = fork();
    CHECK_OK(alone);
    if (alone == 0) {
        count(NULL);
        _exit(0);
    }
    pid_t threaded = fork();
    CHECK_OK(threaded);
    if (threaded == 0) {
        count_by_threads();
        _exit(0);
    }
    count_by_threads();
    CHECK_EXIT(alone, 0);
    CHECK_EXIT(threaded, 0);
    CHECK_EQ(s->entered, (2 * kThreads + 1) * kRounds);
    say("ok");
}
