// a_lone_threads_time_limit_is_cut_by_a_handler.c - a futex wait with a time limit ends with EINTR when a handler runs, SA_RESTART or not.
#include "check.h"

static volatile sig_atomic_t handled;
static void count(int sig) { handled += sig == SIGALRM; }

int main(void) {
    sem_t s;
    CHECK_OK(sem_init(&s, 0, 0));
    handle(SIGALRM, count, SA_RESTART);
    struct itimerval soon = {{0, 0}, {0, 30000}};
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(20000));
    CHECK_ERR(sem_timedwait(&s, &t), EINTR);
    CHECK_EQ(handled, 1);
    say("ok");
}
