// cpu_time_timers_fire.c - ITIMER_VIRTUAL, ITIMER_PROF and a process CPU clock timer interrupt a computation.
#include "check.h"

static volatile int virtual_hits, prof_hits, cpu_hits;
static void hit(int sig) {
    if (sig == SIGVTALRM) virtual_hits++;
    if (sig == SIGPROF) prof_hits++;
    if (sig == SIGUSR1) cpu_hits++;
}

int main(void) {
    handle(SIGVTALRM, hit, SA_RESTART);
    handle(SIGPROF, hit, SA_RESTART);
    handle(SIGUSR1, hit, SA_RESTART);
    struct itimerval every = {{0, 10000}, {0, 10000}};
    CHECK_OK(setitimer(ITIMER_VIRTUAL, &every, NULL));
    CHECK_OK(setitimer(ITIMER_PROF, &every, NULL));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec when = {{0, 10000000}, {0, 10000000}};
    timer_t timer;
    CHECK_OK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &when, NULL));
    for (volatile long i = 0; virtual_hits < 3 || prof_hits < 3 || cpu_hits < 3; i++) {
    }
    say("ok");
}
