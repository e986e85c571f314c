// a_timers_signal_comes_beside_one_that_is_pending.c - a POSIX timer's standard signal is delivered though kill or raise sent the same one
// before, an interval timer's goes into it; and either timer goes on afterwards. Alone, then beside another thread.
#include "check.h"

static volatile int handled, from_timer;

static void on_signal(int sig, siginfo_t* info, void* context) {
    handled++;
    from_timer += info->si_code == SI_TIMER;
}

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

static void goes_on(void) {
    handled = 0;
    while (handled < 5) usleep(1000);
}

static void posix_timer(int by_kill) {
    timer_t timer;
    struct sigevent event;
    struct itimerspec quick = {{0, 1000000}, {0, 1000000}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    block_signal(SIGUSR1);
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_OK(by_kill ? kill(getpid(), SIGUSR1) : raise(SIGUSR1));
    CHECK_OK(timer_settime(timer, 0, &quick, NULL));
    settle();
    handled = from_timer = 0;
    unblock_signal(SIGUSR1);
    CHECK(handled >= 2 && from_timer >= 1);
    goes_on();
    CHECK_OK(timer_delete(timer));
}

static void interval_timer(int by_kill) {
    struct itimerval quick = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    block_signal(SIGALRM);
    CHECK_OK(by_kill ? kill(getpid(), SIGALRM) : raise(SIGALRM));
    CHECK_OK(setitimer(ITIMER_REAL, &quick, NULL));
    settle();
    handled = 0;
    unblock_signal(SIGALRM);
    CHECK(handled >= 1);
    goes_on();
    CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
}

int main(void) {
    sem_t leave;
    handle_info(SIGUSR1, on_signal, 0);
    handle_info(SIGALRM, on_signal, 0);
    sem_init(&leave, 0, 0);
    for (int threads = 0; threads < 2; threads++) {
        pthread_t waiting = 0;
        if (threads) {
            block_signal(SIGUSR1);
            block_signal(SIGALRM);
            waiting = start(wait_here, &leave);
            unblock_signal(SIGUSR1);
            unblock_signal(SIGALRM);
        }
        for (int by_kill = 0; by_kill < 2; by_kill++) {
            posix_timer(by_kill);
            interval_timer(by_kill);
        }
        sem_post(&leave);
        if (threads) finish(waiting);
        else CHECK_OK(sem_wait(&leave));
    }
    say("ok");
}
