// a_timer_set_anew_takes_back_its_signal.c - what a POSIX timer sent and nobody has taken yet is nobody's any more once the timer is set
// anew or deleted (Linux 6.13); an interval timer's stays. Alone, then beside another thread.
#include "check.h"

static volatile int handled;

static void on_signal(int sig) { handled++; }

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

static int taken(int sig) {
    handled = 0;
    unblock_signal(sig);
    block_signal(sig);
    return handled;
}

static void wait_until_pending(int sig) {
    sigset_t pending;
    do CHECK_OK(sigpending(&pending));
    while (!sigismember(&pending, sig));
}

static void takes_back(int sig) {
    timer_t timer;
    struct sigevent event;
    struct itimerspec soon = {{0, 0}, {0, 1000}}, late = {{0, 0}, {1000, 0}}, never = {{0, 0}, {0, 0}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = sig;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    CHECK_EQ(taken(sig), 1);
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    CHECK_OK(timer_settime(timer, 0, &never, NULL));
    CHECK_EQ(taken(sig), 0);
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    CHECK_OK(timer_settime(timer, 0, &late, NULL));
    CHECK_EQ(taken(sig), 0);
    // A setting that is refused takes nothing back.
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    never.it_value.tv_nsec = -1;
    CHECK_ERR(timer_settime(timer, 0, &never, NULL), EINVAL);
    CHECK_EQ(taken(sig), 1);
    // It goes on.
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    int came;
    for (came = 0; !came; came = taken(sig)) sleep_ms(1);
    CHECK_EQ(came, 1);
    CHECK_OK(timer_settime(timer, 0, &soon, NULL));
    wait_until_pending(sig);
    CHECK_OK(timer_delete(timer));
    CHECK_EQ(taken(sig), 0);
}

static void all(void) {
    struct itimerval soon = {{0, 0}, {0, 1}}, never = {{0, 0}, {0, 0}};
    takes_back(SIGRTMIN);
    takes_back(SIGUSR1);
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    wait_until_pending(SIGALRM);
    CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
    CHECK_EQ(taken(SIGALRM), 1);
}

int main(void) {
    sem_t leave;
    int signals[] = {SIGRTMIN, SIGUSR1, SIGALRM};
    for (int i = 0; i < 3; i++) {
        handle(signals[i], on_signal, 0);
        block_signal(signals[i]);
    }
    all();
    sem_init(&leave, 0, 0);
    pthread_t waiting = start(wait_here, &leave);
    all();
    sem_post(&leave);
    finish(waiting);
    say("ok");
}
