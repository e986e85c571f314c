// owners of robust mutexes die: as threads, as processes, while others wait
#include "storm.h"
struct Shared { pthread_mutex_t m[8]; atomic_long died, locked; };
static struct Shared* s;
static void lock_and_die(int i) {
    int r = pthread_mutex_lock(&s->m[i]);
    if (r == EOWNERDEAD) {
        atomic_fetch_add(&s->died, 1);
        CHECK(pthread_mutex_consistent(&s->m[i]) == 0);
    } else {
        CHECK(r == 0);
    }
    atomic_fetch_add(&s->locked, 1);
}
static void* dies(void* p) { lock_and_die((int)(long)p); return NULL; }
int main(int argc, char** argv) {
    s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    for (int i = 0; i < 8; i++) {
        pthread_mutexattr_setpshared(&a, i < 4 ? PTHREAD_PROCESS_PRIVATE : PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setprotocol(&a, i % 2 ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
        if (i >= 4) pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_NONE);
        pthread_mutex_init(&s->m[i], &a);
    }
    long expected = 0;
    for (int round = times(argc, argv, 30); round; round--) {
        pthread_t t[64];
        for (long i = 0; i < 64; i++) t[i] = start(dies, (void*)(i % 8));
        pid_t pid[8];
        for (int i = 0; i < 8; i++) {
            pid[i] = fork();
            if (!pid[i]) {
                lock_and_die(4 + i % 4);
                _exit(0);
            }
        }
        for (int i = 0; i < 64; i++) finish(t[i]);
        for (int i = 0; i < 8; i++) {
            int status;
            CHECK(wait_for(pid[i], &status) == pid[i] && status == 0);
        }
        expected += 72;
    }
    if (argc > 2) dprintf(2, "locked %ld died %ld of %ld\n", atomic_load(&s->locked), atomic_load(&s->died), expected);
    CHECK(atomic_load(&s->locked) == expected && atomic_load(&s->died) == expected - 8);
    puts("ok");
    return 0;
}
