// masks_and_pending_sets_belong_to_threads.c - masks are inherited by threads, pending ones are not; process-pending
// is shared.
// TEST: link=dynamic,static
#include "check.h"

static volatile int hits;
static void hit(int sig) {
    hits++;
}

static void* look(void* arg) {
    sigset_t mask, pending;
    CHECK_0(pthread_sigmask(SIG_BLOCK, NULL, &mask));
    CHECK(sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGUSR2));
    CHECK_OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR1));  // main's own
    CHECK(sigismember(&pending, SIGUSR2));   // the process's
    CHECK_0(pthread_kill(pthread_self(), SIGUSR1));
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1));
    unblock_signal(SIGUSR1);
    CHECK_EQ(hits, 1);
    unblock_signal(SIGUSR2);
    CHECK_EQ(hits, 2);
    return NULL;
}

int main(void) {
    sigset_t pending, old;
    handle(SIGUSR1, hit, 0);
    handle(SIGUSR2, hit, 0);
    sigset_t both = signal_set(SIGUSR1, SIGUSR2);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &both, &old));
    CHECK(!sigismember(&old, SIGUSR1));
    CHECK_0(pthread_kill(pthread_self(), SIGUSR1));
    CHECK_OK(kill(getpid(), SIGUSR2));
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2));
    finish(start(look, NULL));
    CHECK_OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1) && !sigismember(&pending, SIGUSR2));
    pid_t p = fork();
    if (p == 0) {  // the mask is inherited, what is pending is not
        CHECK_OK(sigpending(&pending));
        CHECK(!sigismember(&pending, SIGUSR1));
        CHECK_0(pthread_sigmask(SIG_BLOCK, NULL, &old));
        CHECK(sigismember(&old, SIGUSR1));
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    signal(SIGUSR1, SIG_IGN);  // ignoring discards it
    handle(SIGUSR1, hit, 0);
    hits = 0;
    CHECK_0(pthread_sigmask(SIG_UNBLOCK, &both, NULL));
    CHECK_EQ(hits, 0);
    say("ok");
}
