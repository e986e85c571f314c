// exit_from_any_thread_ends_blocked_threads.c - exit() in a thread runs atexit and ends the process, whatever others
// wait for.
// TEST: status=7
#include <poll.h>

#include "check.h"

static int fds[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t started;

static void* block_for_ever(void* arg) {
    char c;
    struct pollfd p = {fds[0], POLLIN, 0};
    pthread_barrier_wait(&started);
    switch ((long)arg % 5) {
        case 0:
            read(fds[0], &c, 1);
            break;
        case 1:
            pthread_mutex_lock(&mutex);
            break;
        case 2:
            poll(&p, 1, -1);
            break;
        case 3:
            pause();
            break;
        case 4:
            sleep(1000);
            break;
    }
    return NULL;
}

static void farewell(void) {
    say("atexit");
}

static void* leave(void* arg) {
    pthread_barrier_wait(&started);
    settle();
    exit(7);
}

int main(void) {
    make_pipe(fds);
    pthread_mutex_lock(&mutex);
    atexit(farewell);
    pthread_barrier_init(&started, NULL, 102);
    for (long i = 0; i < 100; i++) start(block_for_ever, (void*)i);
    start(leave, NULL);
    pthread_barrier_wait(&started);
    for (;;) pause();
}
