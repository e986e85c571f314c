// sigsuspend_waits_with_another_mask.c - returns EINTR after the handler, which runs under the old mask's protection.
// TEST: link=dynamic,static
#include "check.h"

static __thread volatile int hits;
static __thread int mask_ok;
static _Atomic int ready;

static void hit(int sig) {
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    mask_ok = sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2);  // itself, and the suspended mask
    hits++;
}

static void* suspend(void* arg) {
    sigset_t mask = signal_set(SIGUSR2, 0), now;
    block_signal(SIGUSR1);
    ready++;
    while (hits < 5) {
        int before = hits;
        CHECK_ERR(sigsuspend(&mask), EINTR);
        CHECK_EQ(hits, before + 1);
        CHECK(mask_ok);
        CHECK_0(pthread_sigmask(SIG_BLOCK, NULL, &now));
        CHECK(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
        ready++;
    }
    return NULL;
}

int main(void) {
    handle(SIGUSR1, hit, SA_RESTART);
    for (int round = 0; round < 2; round++) {
        ready = 0;
        pthread_t t = start(suspend, NULL);
        for (int i = 1; i <= 5; i++) {
            while (ready < i) sleep_ms(1);
            if (round) sleep_ms(10);
            CHECK_0(pthread_kill(t, SIGUSR1));
        }
        finish(t);
    }
    say("ok");
}
