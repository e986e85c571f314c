// Robust mutexes with priority inheritance in shared memory exclude threads and tell that their owner died.
#include "../check.h"

struct Shared {
    pthread_mutex_t m;
    int inside, entered, died;
};
static struct Shared* s;

static void* counts(void* p) {
    for (int i = 0; i < 200; i++) {
        CHECK(pthread_mutex_lock(&s->m) == 0);
        CHECK(s->inside++ == 0);
        if (i % 16 == 0) sched_yield();
        s->inside--;
        s->entered++;
        CHECK(pthread_mutex_unlock(&s->m) == 0);
    }
    return p;
}
static void* dies(void* p) {
    int r = pthread_mutex_lock(&s->m);
    if (r == EOWNERDEAD) {
        s->died++;
        r = pthread_mutex_consistent(&s->m);
    }
    CHECK(r == 0);
    s->entered++;
    return p;
}
static void run(void* (*body)(void*)) {
    pthread_t t[8];
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&t[i], NULL, body, NULL) == 0);
    for (int i = 0; i < 8; i++) CHECK(pthread_join(t[i], NULL) == 0);
}

int main(void) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(s != MAP_FAILED);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    CHECK(pthread_mutex_init(&s->m, &a) == 0);
    run(counts);
    CHECK(s->entered == 1600);
    run(dies);
    CHECK(s->died == 7);
    // A child process owns it, one of our threads waits.
    int fd[2];
    char c;
    CHECK(pipe(fd) == 0);
    pid_t pid = fork();
    if (!pid) {
        dies(NULL);
        CHECK(write(fd[1], "x", 1) == 1);
        usleep(20000);
        _exit(0);
    }
    CHECK(read(fd[0], &c, 1) == 1);
    run(dies);
    CHECK(s->died == 16 && s->entered == 1600 + 17);
    CHECK(waitpid(pid, NULL, 0) == pid);
    say("ok");
}
