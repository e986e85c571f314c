// Thousands of real-time signals wait behind a mask; when it opens, each arrives once and in order, lowest number first.
#include "../check.h"

enum { kEach = 1500 };
static int expected[3], total, last = -1;
static void take(int sig, siginfo_t* info, void* context) {
    (void)context;
    int k = sig - SIGRTMIN - 1;
    if (info->si_value.sival_int != expected[k]++ || k < last) total = -1000000;
    last = k;
    total++;
}

int main(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = take;
    a.sa_flags = SA_SIGINFO;
    sigfillset(&a.sa_mask);
    for (int k = 0; k < 3; k++) {
        CHECK(sigaction(SIGRTMIN + 1 + k, &a, NULL) == 0);
        block_signal(SIGRTMIN + 1 + k);
    }
    for (int i = 0; i < kEach; i++)
        for (int k = 2; k >= 0; k--) CHECK(sigqueue(getpid(), SIGRTMIN + 1 + k, (union sigval){i}) == 0);
    sigset_t none;
    sigemptyset(&none);
    CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
    CHECK(total == 3 * kEach);
    say("ok");
}
