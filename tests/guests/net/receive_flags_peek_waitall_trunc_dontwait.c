// receive_flags_peek_waitall_trunc_dontwait.c - MSG_PEEK leaves, MSG_WAITALL waits, MSG_TRUNC tells, MSG_DONTWAIT
// never waits.
#include "net.h"

static int pair[2];

static void* feed(void* arg) {
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(write(pair[1], "0123456789", 10), 10);
        sleep_ms(3);
    }
    return NULL;
}

static void* feed_short(void* arg) {
    CHECK_EQ(write(pair[1], "abc", 3), 3);
    sleep_ms(30);
    shutdown(pair[1], SHUT_WR);
    return NULL;
}

int main(void) {
    char block[200];
    for (int kind = 0; kind < 2; kind++) {
        if (kind) {
            tcp_pair(pair);
        } else {
            CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        }
        CHECK_ERR(recv(pair[0], block, 1, MSG_DONTWAIT), EAGAIN);
        pthread_t t = start(feed, NULL);
        CHECK_EQ(recv(pair[0], block, 100, MSG_WAITALL), 100);
        for (int i = 0; i < 100; i++) CHECK_EQ(block[i], '0' + i % 10);
        finish(t);
        CHECK_ERR(recv(pair[0], block, 1, MSG_DONTWAIT), EAGAIN);
        t = start(feed, NULL);
        CHECK_EQ(recv(pair[0], block, 1, MSG_PEEK), 1);
        CHECK_EQ(recv(pair[0], block, 100, MSG_WAITALL), 100);
        CHECK_EQ(block[0], '0');
        finish(t);
        t = start(feed_short, NULL);
        CHECK_EQ(recv(pair[0], block, 100, MSG_WAITALL), 3);  // the end comes first
        CHECK_EQ(recv(pair[0], block, 100, 0), 0);
        finish(t);
        close(pair[0]);
        close(pair[1]);
    }
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    CHECK_EQ(send(pair[1], "long message", 12, 0), 12);
    CHECK_EQ(recv(pair[0], block, 4, MSG_TRUNC), 12);
    CHECK_EQ(send(pair[1], "", 0, 0), 0);
    CHECK_EQ(recv(pair[0], block, 4, 0), 0);
    CHECK_ERR(recv(pair[0], block, 4, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    CHECK_EQ(send(pair[1], "one", 3, 0), 3);
    CHECK_EQ(send(pair[1], "two", 3, 0), 3);
    CHECK_EQ(recv(pair[0], block, 200, 0), 3);
    CHECK_EQ(recv(pair[0], block, 200, 0), 3);
    close(pair[1]);
    CHECK_EQ(recv(pair[0], block, 200, 0), 0);
    say("ok");
}
