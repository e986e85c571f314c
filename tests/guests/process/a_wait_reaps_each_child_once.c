// a_wait_reaps_each_child_once.c - wait in a program with threads gives every child exactly once, however soon it
// ends
#include "check.h"

static volatile int over;

static void* idle(void* unused) {
    while (!over) usleep(1000);
    return 0;
}
static void* spin(void* unused) {
    while (!over) sched_yield();
    return 0;
}

int main(void) {
    enum { ROUNDS = 250 };
    pthread_t waiter, spinner;
    CHECK(pthread_create(&waiter, 0, idle, 0) == 0);
    CHECK(pthread_create(&spinner, 0, spin, 0) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        pid_t child = fork();
        if (child == 0) _exit(i & 0x7f);
        int status;
        CHECK(wait(&status) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (i & 0x7f));
    }
    over = 1;
    CHECK(pthread_join(waiter, 0) == 0 && pthread_join(spinner, 0) == 0);
    errno = 0;
    CHECK(wait(0) == -1 && errno == ECHILD);
    say("%d children, each reaped once", ROUNDS);
    return 0;
}
