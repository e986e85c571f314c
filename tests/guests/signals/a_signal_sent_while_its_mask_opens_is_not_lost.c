// TEST: timeout=60
// a_signal_sent_while_its_mask_opens_is_not_lost.c - one thread unblocks a signal and computes, without another system call, until it
// has come; another sends it at that very moment.
#include "check.h"

static int rounds = 50;
static _Atomic int round_now, handled;

static void on_signal(int sig) { handled = round_now; }

static void* receiver(void* arg) {
    block_signal(SIGUSR1);
    for (int i = 1; i <= rounds; i++) {
        while (round_now < i) sched_yield();
        for (volatile int spin = i % 97; spin; spin--) {
        }
        unblock_signal(SIGUSR1);
        while (handled < i) {
        }
        block_signal(SIGUSR1);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc > 1) rounds = atoi(argv[1]);
    handle(SIGUSR1, on_signal, 0);
    pthread_t t = start(receiver, NULL);
    for (int i = 1; i <= rounds; i++) {
        round_now = i;
        for (volatile int spin = i % 89; spin; spin--) {
        }
        CHECK_0(pthread_kill(t, SIGUSR1));
        while (handled < i) sched_yield();
    }
    finish(t);
    say("every signal came");
}
