// interrupted_network_calls_return_progress_or_eintr.c - a signal ends recv/accept with EINTR, a started send with
// its count.
#include "net.h"

static int pair[2], listener;
static _Atomic int stage;
static char block[8 << 20];

static void* wait_all(void* arg) {
    char c;
    CHECK_ERR(recv(pair[0], &c, 1, 0), EINTR);
    CHECK_ERR(read(pair[0], &c, 1), EINTR);
    CHECK_ERR(accept(listener, NULL, NULL), EINTR);
    ssize_t n = send(pair[0], block, sizeof block, 0);
    CHECK(n > 0 && n < (ssize_t)sizeof block);
    while ((n = send(pair[0], block, 1024, 0)) > 0) {
    }
    CHECK(n == -1 && errno == EINTR);
    set_timeout(pair[0], SO_RCVTIMEO, ms(100000));  // a time-out: EINTR even with SA_RESTART
    handle(SIGUSR1, ignore_signal_number, SA_RESTART);
    CHECK_ERR(recv(pair[0], &c, 1, 0), EINTR);
    stage = 1;
    while (stage == 1) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct sockaddr_in address;
    struct pester p;
    handle(SIGUSR1, ignore_signal_number, 0);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    listener = listen_tcp(1, &address);
    pthread_t t = start(wait_all, NULL);
    pester_start(&p, t, SIGUSR1);
    while (!stage) sleep_ms(1);
    pester_stop(&p);
    stage = 2;
    finish(t);
    say("ok");
}
