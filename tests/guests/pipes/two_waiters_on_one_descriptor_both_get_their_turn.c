// two_waiters_on_one_descriptor_both_get_their_turn.c - many readers on a pipe, readers and a writer on a socket,
// pollers.
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

static int fds[2], pair[2];
static _Atomic int got;

static void* reader(void* arg) {
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    got++;
    return NULL;
}

static void* poller(void* arg) {
    struct pollfd p = {fds[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    got++;
    return NULL;
}

static void* socket_reader(void* arg) {
    char block[1000];
    size_t total = 0;
    for (ssize_t n; (n = recv(pair[0], block, sizeof block, 0)) > 0;) total += n;
    return (void*)total;
}

static void* socket_writer(void* arg) {  // on the very socket that the reader waits on
    static char block[1 << 20];
    CHECK_EQ(write(pair[0], block, sizeof block), sizeof block);
    return NULL;
}

int main(void) {
    pthread_t t[10];
    make_pipe(fds);
    for (int i = 0; i < 10; i++) t[i] = start(reader, NULL);
    settle();
    for (int i = 1; i <= 10; i++) {
        CHECK_EQ(write(fds[1], "x", 1), 1);
        while (got < i) sleep_ms(1);
    }
    for (int i = 0; i < 10; i++) finish(t[i]);
    got = 0;
    for (int i = 0; i < 10; i++) t[i] = start(poller, NULL);
    settle();
    CHECK_EQ(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 10; i++) finish(t[i]);
    CHECK_EQ(got, 10);  // one byte wakes every poller

    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pthread_t a = start(socket_reader, NULL);
    settle();
    pthread_t b = start(socket_writer, NULL);
    settle();
    CHECK_EQ(write(pair[1], "hello", 5), 5);
    static char block[1 << 20];
    CHECK_EQ(read_all(pair[1], block, sizeof block), sizeof block);
    CHECK_EQ(write(pair[1], "world", 5), 5);
    shutdown(pair[1], SHUT_WR);
    finish(b);
    say("got %d", (int)(long)finish(a));
}
