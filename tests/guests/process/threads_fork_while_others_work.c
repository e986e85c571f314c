// threads_fork_while_others_work.c - forks from several threads under malloc and lock traffic; every child can use
// malloc.
#include "check.h"

static volatile int stop;
static _Atomic int forks;

static void* traffic(void* arg) {
    while (!stop) {
        free(malloc(1000 + rand() % 100000));
        sched_yield();
    }
    return NULL;
}

static void* forker(void* arg) {
    for (int i = 0; i < 12; i++) {
        pid_t p = fork();
        CHECK_OK(p);
        if (p == 0) {
            char* m = malloc(100000);
            memset(m, 1, 100000);
            free(m);
            _exit((int)(long)arg);
        }
        CHECK_EXIT(p, (int)(long)arg);
        forks++;
    }
    return NULL;
}

int main(void) {
    pthread_t a[4], b[4];
    for (int i = 0; i < 4; i++) a[i] = start(traffic, NULL);
    for (long i = 0; i < 4; i++) b[i] = start(forker, (void*)i);
    for (int i = 0; i < 4; i++) finish(b[i]);
    stop = 1;
    for (int i = 0; i < 4; i++) finish(a[i]);
    say("forks %d", forks);
}
