// action_flags_do_what_they_say.c - SA_NODEFER, SA_RESETHAND, sa_mask, old actions, errors; the mask is back
// afterwards.
// TEST: link=dynamic,static,musl
#include "check.h"

static volatile int depth, deepest, calls, hits;
static sigset_t seen;

static void recurse(int sig) {
    depth++;
    if (depth > deepest) deepest = depth;
    if (++calls < 3) raise(sig);
    depth--;
    hits++;
}

static void look(int sig) {
    hits++;
    sigprocmask(SIG_BLOCK, NULL, &seen);
}

int main(void) {
    struct sigaction a, old;
    handle(SIGUSR1, recurse, SA_NODEFER);
    raise(SIGUSR1);
    say("nodefer: deepest %d, hits %d", deepest, hits);
    deepest = calls = hits = 0;
    handle(SIGUSR1, recurse, 0);
    raise(SIGUSR1);
    // the ones raised inside come after the handler, one after the other
    say("deferred: deepest %d, hits %d", deepest, hits);
    hits = 0;
    handle(SIGUSR2, look, SA_RESETHAND);
    raise(SIGUSR2);
    CHECK_OK(sigaction(SIGUSR2, NULL, &old));
    say("resethand: hits %d, default again %d, itself blocked %d", hits, old.sa_handler == SIG_DFL,
        sigismember(&seen, SIGUSR2));
    memset(&a, 0, sizeof a);
    a.sa_handler = look;
    sigaddset(&a.sa_mask, SIGTERM);
    sigaddset(&a.sa_mask, SIGHUP);
    sigaddset(&a.sa_mask, SIGSYS);
    sigaddset(&a.sa_mask, SIGKILL);
    CHECK_OK(sigaction(SIGUSR2, &a, NULL));
    raise(SIGUSR2);
    say("mask: TERM %d HUP %d SYS %d KILL %d INT %d USR2 %d", sigismember(&seen, SIGTERM), sigismember(&seen, SIGHUP),
        sigismember(&seen, SIGSYS), sigismember(&seen, SIGKILL), sigismember(&seen, SIGINT),
        sigismember(&seen, SIGUSR2));
    CHECK_OK(sigaction(SIGUSR2, NULL, &old));
    CHECK(old.sa_handler == look && sigismember(&old.sa_mask, SIGTERM) && sigismember(&old.sa_mask, SIGSYS));
    CHECK(!sigismember(&old.sa_mask, SIGKILL));
    sigprocmask(SIG_BLOCK, NULL, &seen);
    for (int i = 1; i < 65; i++)
        if (i != 32 && i != 33) CHECK_EQ(sigismember(&seen, i), 0);
    CHECK_ERR(sigaction(SIGKILL, &a, NULL), EINVAL);
    CHECK_ERR(sigaction(SIGSTOP, &a, NULL), EINVAL);
    CHECK_ERR(sigaction(65, &a, NULL), EINVAL);
    CHECK_ERR(sigaction(0, &a, NULL), EINVAL);
    CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
    CHECK_ERR(sigprocmask(77, &seen, NULL), EINVAL);
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    CHECK(signal(SIGUSR1, look) == SIG_IGN);
}
