// siginfo_tells_who_sent_it.c - si_code, si_pid, si_uid, si_value for kill, raise, sigqueue, tgkill, timers,
// children, faults.
#include <ucontext.h>

#include "check.h"

static siginfo_t last;
static volatile int hits;
static void keep(int sig, siginfo_t* info, void* context) {
    last = *info;
    CHECK_EQ(info->si_signo, sig);
    CHECK(context != NULL);
    hits++;
}
static void wait_hit(int n) {
    while (hits < n) sleep_ms(1);
    hits = 0;
}

int main(void) {
    handle_info(SIGUSR1, keep, SA_RESTART);
    handle_info(SIGRTMIN + 3, keep, SA_RESTART);
    handle_info(SIGCHLD, keep, SA_RESTART);
    CHECK_OK(kill(getpid(), SIGUSR1));
    wait_hit(1);
    say("kill: code %d, pid ok %d, uid ok %d", last.si_code, last.si_pid == getpid(), last.si_uid == getuid());
    CHECK_OK(raise(SIGUSR1));
    wait_hit(1);
    say("raise: code %d, pid ok %d", last.si_code, last.si_pid == getpid());
    CHECK_OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = -5}));
    wait_hit(1);
    say("sigqueue: code %d, pid ok %d, value %d", last.si_code, last.si_pid == getpid(), last.si_value.sival_int);
    CHECK_0(pthread_sigqueue(pthread_self(), SIGRTMIN + 3, (union sigval){.sival_ptr = (void*)0x123456789abc}));
    wait_hit(1);
    say("pthread_sigqueue: code %d, value %p", last.si_code, last.si_value.sival_ptr);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77};
    struct itimerspec once = {{0, 0}, {0, 1000000}};
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CHECK_OK(timer_settime(timer, 0, &once, NULL));
    wait_hit(1);
    say("timer: code %d, value %d, overrun %d", last.si_code, last.si_value.sival_int, last.si_overrun);
    CHECK_OK(timer_delete(timer));
    pid_t p = fork();
    if (p == 0) {
        CHECK_OK(kill(getppid(), SIGUSR1));
        sleep_ms(50);
        _exit(9);
    }
    wait_hit(1);
    say("from a child: code %d, pid ok %d", last.si_code, last.si_pid == p);
    wait_hit(1);
    say("SIGCHLD: code %d, pid ok %d, status %d", last.si_code, last.si_pid == p, last.si_status);
    CHECK_EXIT(p, 9);
    siginfo_t own = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    own.si_pid = 4242;
    CHECK_OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &own));
    wait_hit(1);
    say("rt_sigqueueinfo: code %d, pid %d", last.si_code, last.si_pid);
    own.si_code = SI_USER;  // to oneself even this is allowed
    CHECK_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &own));
    wait_hit(1);
    own.si_code = 0;
    CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &own), EPERM);
}
