// Two signals wait for a stopped process. The first one's handler, in the main thread, blocks the second: another
// thread takes it (kernel/signal.c, retarget_shared_pending).
#include "../check.h"

static volatile int taken;

static void second(int sig) {
    taken = 1;
}

static void first(int sig) {
    for (int i = 0; i < 1000 && !taken; i++) usleep(5000);
    CHECK(taken);
    say("ok");
    _exit(0);
}

static void* waits(void* arg) {
    for (;;) pause();
    return NULL;
}

int main(void) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = second;
    CHECK_OK(sigaction(SIGUSR2, &a, NULL));
    a.sa_handler = first;
    sigaddset(&a.sa_mask, SIGUSR2);
    CHECK_OK(sigaction(SIGUSR1, &a, NULL));
    start(waits, NULL);
    settle();
    pid_t self = getpid();
    if (fork() == 0) {
        CHECK_OK(kill(self, SIGSTOP));
        settle();
        CHECK_OK(kill(self, SIGUSR2));
        CHECK_OK(kill(self, SIGUSR1));
        CHECK_OK(kill(self, SIGCONT));
        _exit(0);
    }
    for (;;) pause();
}
