// signals_to_the_main_thread_find_it_wherever_it_runs.c - tgkill by another process, and a timer of the main thread's from before there were
// others, reach the main thread also after a thread waited long for its vfork child while others computed.
#include "check.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { kEnough = 20 };
static _Atomic int stop;
static volatile int handled;

static void on_signal(int sig) { handled++; }

static void* compute(void* arg) {
    while (!stop) {
    }
    return NULL;
}

static void* wait_for_child(void* arg) {
    pid_t child = vfork();
    if (!child) {
        struct timespec long_enough = {0, 300000000};
        nanosleep(&long_enough, NULL);
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    return NULL;
}

int main(void) {
    timer_t timer;
    struct sigevent event;
    struct itimerspec quick = {{0, 1000000}, {0, 1000000}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN;
    event.sigev_notify_thread_id = gettid();
    handle(SIGRTMIN, on_signal, 0);
    handle(SIGRTMIN + 1, on_signal, 0);
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    pthread_t first = start(compute, NULL), second = start(compute, NULL);
    finish(start(wait_for_child, NULL));
    settle();
    pid_t self = getpid(), child = fork();
    CHECK_OK(child);
    if (!child) {
        for (int i = 0; i < kEnough; i++) CHECK_OK(syscall(SYS_tgkill, self, self, SIGRTMIN + 1));
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    while (handled < kEnough) usleep(10000);
    handled = 0;
    CHECK_OK(timer_settime(timer, 0, &quick, NULL));
    while (handled < kEnough) usleep(10000);
    CHECK_OK(timer_delete(timer));
    stop = 1;
    finish(first);
    finish(second);
    say("ok");
}
