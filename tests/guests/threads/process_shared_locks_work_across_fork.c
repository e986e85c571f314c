// process_shared_locks_work_across_fork.c - mutex, condvar, semaphore, barrier in MAP_SHARED memory between
// processes.
// TEST: link=dynamic,static
#include "check.h"

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    sem_t sem;
    pthread_barrier_t barrier;
    pthread_rwlock_t rwlock;
    int turn, count, posts;
};

enum { CHILDREN = 4, ROUNDS = 100 };
static struct shared* s;

static void* count(void* arg) {
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_0(pthread_mutex_lock(&s->mutex));
        int seen = s->count;
        if (i % 16 == 0) sched_yield();
        s->count = seen + 1;
        CHECK_0(pthread_mutex_unlock(&s->mutex));
    }
    return NULL;
}

static void child(int id) {
    pthread_barrier_wait(&s->barrier);
    pthread_t t = start(count, NULL);  // two threads in every process
    count(NULL);
    finish(t);
    for (int i = 0; i < 20; i++) {  // strict turns through one condvar
        pthread_mutex_lock(&s->mutex);
        while (s->turn % CHILDREN != id) pthread_cond_wait(&s->cond, &s->mutex);
        s->turn++;
        pthread_cond_broadcast(&s->cond);
        pthread_mutex_unlock(&s->mutex);
    }
    CHECK_OK(sem_wait(&s->sem));
    CHECK_0(pthread_rwlock_rdlock(&s->rwlock));
    CHECK_0(pthread_rwlock_unlock(&s->rwlock));
    _exit(0);
}

int main(void) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pthread_barrierattr_t b;
    pthread_rwlockattr_t r;
    pthread_mutexattr_init(&m);
    pthread_condattr_init(&c);
    pthread_barrierattr_init(&b);
    pthread_rwlockattr_init(&r);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_settype(&m, PTHREAD_MUTEX_ERRORCHECK);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_setpshared(&r, PTHREAD_PROCESS_SHARED);
    CHECK_0(pthread_mutex_init(&s->mutex, &m));
    CHECK_0(pthread_cond_init(&s->cond, &c));
    CHECK_0(pthread_barrier_init(&s->barrier, &b, CHILDREN));
    CHECK_0(pthread_rwlock_init(&s->rwlock, &r));
    CHECK_OK(sem_init(&s->sem, 1, 0));
    CHECK_0(pthread_rwlock_wrlock(&s->rwlock));
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_OK(children[i] = fork());
        if (children[i] == 0) child(i);
    }
    settle();
    for (int i = 0; i < CHILDREN; i++) CHECK_OK(sem_post(&s->sem));
    settle();
    CHECK_0(pthread_rwlock_unlock(&s->rwlock));
    for (int i = 0; i < CHILDREN; i++) CHECK_EXIT(children[i], 0);
    say("count %d, turns %d", s->count, s->turn);
}
