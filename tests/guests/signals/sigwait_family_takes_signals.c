// sigwait_family_takes_signals.c - sigwait, sigwaitinfo, sigtimedwait in threads: from kill, pthread_kill, sigqueue;
// time-outs.
// TEST: link=dynamic,static
#include "check.h"

static sigset_t set;
static _Atomic int taken;

static void* take(void* arg) {
    int sig;
    CHECK_0(sigwait(&set, &sig));
    CHECK(sig == SIGUSR1 || sig == SIGUSR2);
    taken++;
    return NULL;
}

static void* take_info(void* arg) {
    siginfo_t info;
    struct timespec limit = {100, 0};
    CHECK_EQ(sigtimedwait(&set, &info, &limit), SIGUSR2);
    CHECK_EQ(info.si_code, SI_USER);  // glibc turns SI_TKILL into this
    taken++;
    return NULL;
}

int main(void) {
    pthread_t t[10];
    set = signal_set(SIGUSR1, SIGUSR2);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 10; i++) t[i] = start(take, NULL);
    for (int i = 1; i <= 10; i++) {
        CHECK_OK(kill(getpid(), i % 2 ? SIGUSR1 : SIGUSR2));
        while (taken < i) sleep_ms(1);
    }
    for (int i = 0; i < 10; i++) finish(t[i]);
    taken = 0;
    for (int i = 0; i < 10; i++) t[i] = start(take_info, NULL);
    for (int i = 9; i >= 0; i--) {
        CHECK_0(pthread_kill(t[i], SIGUSR2));
        finish(t[i]);
    }
    struct timespec limit = timespec_of(ms(60)), wrong = {0, -1};
    long long begin = now_ns();
    CHECK_ERR(sigtimedwait(&set, NULL, &limit), EAGAIN);
    CHECK(now_ns() - begin >= ms(59) && now_ns() - begin < ms(8000));
    CHECK_ERR(sigtimedwait(&set, NULL, &wrong), EINVAL);
    handle(SIGALRM, ignore_signal_number, SA_RESTART);  // another signal: EINTR
    struct itimerval soon = {{0, 0}, {0, 30000}};
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    CHECK_ERR(sigwaitinfo(&set, NULL), EINTR);
    // waiting for a signal whose default action would kill, and for one that is ignored by default
    sigset_t quiet = signal_set(SIGTERM, SIGCHLD);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &quiet, NULL));
    pid_t p = fork();
    if (p == 0) _exit(0);
    siginfo_t info;
    CHECK_EQ(sigwaitinfo(&quiet, &info), SIGCHLD);
    CHECK_EQ(info.si_pid, p);
    CHECK_EXIT(p, 0);
    CHECK_OK(kill(getpid(), SIGTERM));
    CHECK_EQ(sigwaitinfo(&quiet, &info), SIGTERM);
    say("taken %d", taken);
}
