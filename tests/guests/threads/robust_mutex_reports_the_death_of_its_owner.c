// robust_mutex_reports_the_death_of_its_owner.c - a dead thread's and a dead process's robust mutexes give
// EOWNERDEAD.
#include "check.h"

struct shared {
    pthread_mutex_t a, b;
};

static void* lock_and_leave(void* arg) {
    struct shared* s = arg;
    CHECK_0(pthread_mutex_lock(&s->a));
    CHECK_0(pthread_mutex_lock(&s->b));
    return NULL;
}

static void* lock_after_death(void* arg) {
    struct shared* s = arg;
    CHECK_EQ(pthread_mutex_lock(&s->a), EOWNERDEAD);
    CHECK_0(pthread_mutex_consistent(&s->a));
    CHECK_0(pthread_mutex_unlock(&s->a));
    return NULL;
}

static void init(struct shared* s, int shared) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    CHECK_0(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
    CHECK_0(pthread_mutexattr_setpshared(&attr, shared ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE));
    CHECK_0(pthread_mutex_init(&s->a, &attr));
    CHECK_0(pthread_mutex_init(&s->b, &attr));
}

int main(void) {
    static struct shared private_locks;
    init(&private_locks, 0);
    finish(start(lock_and_leave, &private_locks));
    lock_after_death(&private_locks);
    CHECK_EQ(pthread_mutex_lock(&private_locks.b), EOWNERDEAD);
    CHECK_0(pthread_mutex_unlock(&private_locks.b));  // without making it consistent
    CHECK_EQ(pthread_mutex_lock(&private_locks.b), ENOTRECOVERABLE);
    say("thread: ok");

    struct shared* s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    init(s, 1);
    int fds[2];
    char c;
    make_pipe(fds);
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        lock_and_leave(s);
        CHECK_EQ(write(fds[1], "x", 1), 1);
        pause();
    }
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(pthread_mutex_trylock(&s->a), EBUSY);
    pthread_t waiter = start(lock_after_death, s);  // waits when the owner dies
    settle();
    CHECK_OK(kill(child, SIGKILL));
    finish(waiter);
    CHECK_EQ(pthread_mutex_lock(&s->b), EOWNERDEAD);
    CHECK_0(pthread_mutex_consistent(&s->b));
    CHECK_0(pthread_mutex_unlock(&s->b));
    CHECK_KILLED(child, SIGKILL);
    say("process: ok");

    pid_t exits = fork();
    CHECK_OK(exits);
    if (exits == 0) {
        finish(start(lock_and_leave, s));
        _exit(0);
    }
    CHECK_EXIT(exits, 0);
    lock_after_death(s);
    say("thread of a process: ok");
}
