// a_written_part_is_returned_when_interrupted.c - a blocking write or read-all that moved something returns the
// count, not EINTR.
#include "check.h"

static char big[1 << 20];
static int fds[2];
static _Atomic int stage;

static void* write_much(void* arg) {
    ssize_t n = write(fds[1], big, sizeof big);
    CHECK_EQ(n, 65536);  // a whole pipe, then the signal
    CHECK_ERR(write(fds[1], big, 1), EINTR);
    stage = 1;
    while (stage == 1) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct pester p;
    handle(SIGUSR1, ignore_signal_number, SA_RESTART);  // restarting does not matter once something was written
    make_pipe(fds);
    pthread_t t = start(write_much, NULL);
    settle();
    CHECK_0(pthread_kill(t, SIGUSR1));
    sleep_ms(50);
    handle(SIGUSR1, ignore_signal_number, 0);
    pester_start(&p, t, SIGUSR1);
    while (!stage) sleep_ms(1);
    pester_stop(&p);
    stage = 2;
    finish(t);
    say("ok");
}
