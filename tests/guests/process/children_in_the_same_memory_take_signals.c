// A CLONE_VM child that is no thread dies of signals, ignores, blocks and handles them like any process.
#include "../check.h"

static volatile int handled, ready;

static void handler(int sig) {
    handled = sig;
}

static int sleeps(void* arg) {
    ready = 1;
    for (;;) pause();
    return 0;
}

static int handles(void* arg) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = handler;
    sigaction(SIGUSR1, &a, NULL);
    a.sa_handler = SIG_IGN;
    sigaction(SIGUSR2, &a, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ready = 1;
    struct timespec t = {20, 0};
    while (!handled) nanosleep(&t, NULL);
    return handled == SIGUSR1 ? 7 : 8;
}

static pid_t begin(int (*f)(void*), char* stack) {
    ready = 0;
    pid_t p = clone(f, stack + 65536, CLONE_VM | SIGCHLD, NULL);
    CHECK_OK(p);
    while (!ready) usleep(1000);
    settle();
    return p;
}

int main(void) {
    char* stack = malloc(65536);
    const int deadly[] = {SIGTERM, SIGHUP, SIGSEGV, SIGTRAP, SIGUSR1, SIGRTMIN + 3, SIGRTMAX};
    for (unsigned i = 0; i < sizeof deadly / sizeof *deadly; i++) {
        pid_t p = begin(sleeps, stack);
        CHECK_OK(kill(p, deadly[i]));
        CHECK_KILLED(p, deadly[i]);
    }
    pid_t p = begin(handles, stack);
    CHECK_OK(kill(p, SIGTERM));
    CHECK_OK(kill(p, SIGUSR2));
    CHECK_OK(kill(p, SIGCHLD));
    settle();
    CHECK(!handled);
    CHECK_OK(kill(p, SIGUSR1));
    CHECK_EXIT(p, 7);
    say("ok");
}
