// messages_to_a_busy_loop_wake_every_wait.c - messages come while their readers compute and while they wait, for one socket read by
// recv, one by poll and one by epoll_wait, each also written to until it is full: no wait is forgotten, no byte lost.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "check.h"

enum { kMessages = 3000, kBack = 64 << 20, kPiece = 1 << 16, kSockets = 3 };

static int sockets[kSockets][2];

static unsigned random_below(unsigned* state, unsigned below) {
    *state = *state * 1103515245 + 12345;
    return (*state >> 16) % below;
}

static void compute(unsigned turns) {
    for (volatile unsigned i = 0; i < turns; i++) {}
}

// The other process: numbers one way at changing paces, pieces of the other way read at changing paces.
static void* feed(void* arg) {
    int s = sockets[(intptr_t)arg][1];
    unsigned seed = (unsigned)(intptr_t)arg + 1;
    for (unsigned n = 0; n < kMessages; n++) {
        CHECK_EQ(send(s, &n, sizeof n, 0), sizeof n);
        switch (random_below(&seed, 8)) {
            case 0: usleep(100); break;
            case 1: sched_yield(); break;
            case 2: compute(20000); break;
        }
    }
    return NULL;
}
static void* drain(void* arg) {
    int s = sockets[(intptr_t)arg][1];
    unsigned seed = (unsigned)(intptr_t)arg + 9;
    static char buffer[kSockets][kPiece];
    for (long left = kBack / kSockets; left > 0;) {
        long n = recv(s, buffer[(intptr_t)arg], kPiece, 0);
        CHECK_OK(n);
        CHECK(n > 0);
        left -= n;
        if (random_below(&seed, 16) == 0) usleep(50);
    }
    return NULL;
}

static void wait_for_input(long how, int s, int ep) {
    struct pollfd p = {s, POLLIN, 0};
    struct epoll_event event;
    if (how == 1) CHECK_EQ(poll(&p, 1, -1), 1);
    if (how == 2) CHECK_EQ(epoll_wait(ep, &event, 1, -1), 1);
}
static void* read_numbers(void* arg) {
    long how = (intptr_t)arg;
    int s = sockets[how][0], ep = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, s, &event));
    unsigned seed = (unsigned)how + 77;
    for (unsigned expected = 0; expected < kMessages; expected++) {
        unsigned n;
        wait_for_input(how, s, ep);
        CHECK_EQ(recv(s, &n, sizeof n, MSG_WAITALL), sizeof n);
        CHECK_EQ(n, expected);
        if (random_below(&seed, 4)) compute(random_below(&seed, 30000));
    }
    return NULL;
}
static void* write_pieces(void* arg) {
    int s = sockets[(intptr_t)arg][0];
    static const char piece[kPiece];
    for (long left = kBack / kSockets; left > 0;) {
        long n = send(s, piece, left < kPiece ? (size_t)left : kPiece, 0);
        CHECK_OK(n);
        left -= n;
    }
    return NULL;
}

static void run(void* (*one)(void*), void* (*other)(void*)) {
    pthread_t threads[2 * kSockets];
    for (long i = 0; i < kSockets; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, one, (void*)i), 0);
        CHECK_EQ(pthread_create(&threads[kSockets + i], NULL, other, (void*)i), 0);
    }
    for (int i = 0; i < 2 * kSockets; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

int main(void) {
    for (int i = 0; i < kSockets; i++) CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]));
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        run(feed, drain);
        _exit(0);
    }
    run(read_numbers, write_pieces);
    CHECK_EXIT(child, 0);
    say("%d messages", kSockets * kMessages);
}
