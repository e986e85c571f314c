// a_refused_fork_changes_nothing.c - clone3 with arguments the kernel refuses: threads go on and signals still come
#include <linux/sched.h>

#include "check.h"

static volatile int over, hits;

static void* spin(void* unused) {
    while (!over) sched_yield();
    return 0;
}
static void hit(int sig) {
    hits++;
}

static void refused(void) {
    static uint64_t args[64];  // beyond what any kernel knows: must be zero, and this one is not
    memset(args, 0, sizeof args);
    args[4] = SIGCHLD;
    args[60] = 1;
    errno = 0;
    CHECK(syscall(SYS_clone3, args, sizeof args) == -1);
    CHECK(errno == E2BIG);
}

int main(void) {
    signal(SIGUSR1, hit);
    refused();
    raise(SIGUSR1);
    CHECK(hits == 1);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], 0, spin, 0) == 0);
    for (int i = 0; i < 100; i++) refused();
    kill(getpid(), SIGUSR1);
    while (hits < 2) usleep(1000);
    over = 1;
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], 0) == 0);
    say("refused, and nothing happened");
    return 0;
}
