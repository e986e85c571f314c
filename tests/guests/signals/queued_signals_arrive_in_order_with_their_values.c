// queued_signals_arrive_in_order_with_their_values.c - real-time signals queue, lowest number first; standard ones
// coalesce.
#include "check.h"

static int order[64], values[64], n;
static void note(int sig, siginfo_t* info, void* context) {
    order[n] = sig;
    values[n++] = info->si_value.sival_int;
}

int main(void) {
    sigset_t all, old;
    sigfillset(&all);
    int sigs[] = {SIGRTMIN + 5, SIGRTMIN + 1, SIGRTMAX, SIGRTMIN + 3, SIGUSR1};
    for (int i = 0; i < 5; i++) {
        struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
        sigfillset(&a.sa_mask);
        CHECK_OK(sigaction(sigs[i], &a, NULL));
    }
    CHECK_OK(sigprocmask(SIG_SETMASK, &all, &old));
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 5; i++)
            CHECK_OK(sigqueue(getpid(), sigs[i], (union sigval){.sival_int = round * 10 + i}));
    CHECK_OK(sigprocmask(SIG_SETMASK, &old, NULL));
    for (int i = 0; i < n; i++)
        say("%s%d %d", order[i] >= SIGRTMIN ? "RTMIN+" : "", order[i] >= SIGRTMIN ? order[i] - SIGRTMIN : order[i],
            values[i]);
    n = 0;
    CHECK_OK(sigprocmask(SIG_SETMASK, &all, NULL));
    for (int i = 0; i < 30; i++) CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i}));
    sigset_t one = signal_set(SIGRTMIN + 1, 0);
    for (int i = 0; i < 30; i++) {
        siginfo_t info;
        CHECK_EQ(sigwaitinfo(&one, &info), SIGRTMIN + 1);
        CHECK_EQ(info.si_value.sival_int, i);
    }
    struct timespec zero = {0, 0};
    CHECK_ERR(sigtimedwait(&one, NULL, &zero), EAGAIN);
    say("ok");
}
