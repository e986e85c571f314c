// receive_timeout_gives_eagain.c - SO_RCVTIMEO set late, changed, removed, on a reused number; for read, recv,
// recvmsg, accept.
#include <sys/uio.h>

#include "net.h"

#define TIMES_OUT(call, least)                               \
    do {                                                     \
        long long begin = now_ns();                          \
        CHECK_ERR(call, EAGAIN);                             \
        long long took = now_ns() - begin;                   \
        CHECK(took >= ms(least) - ms(6) && took < ms(8000)); \
    } while (0)

static void* write_later(void* arg) {
    sleep_ms(120);
    CHECK_EQ(write((int)(long)arg, "z", 1), 1);
    return NULL;
}

static void* all(void* arg) {
    int pair[2];
    char c, block[10];
    struct iovec v = {block, sizeof block};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct sockaddr_in address;
    if (arg) {
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    } else {
        tcp_pair(pair);
    }
    CHECK_EQ(write(pair[1], "a", 1), 1);
    CHECK_EQ(read(pair[0], &c, 1), 1);  // first I/O before the option
    set_timeout(pair[0], SO_RCVTIMEO, ms(60));
    TIMES_OUT(read(pair[0], &c, 1), 60);
    TIMES_OUT(recv(pair[0], &c, 1, 0), 60);
    TIMES_OUT(recvmsg(pair[0], &m, 0), 60);
    TIMES_OUT(recvfrom(pair[0], &c, 1, MSG_PEEK, NULL, NULL), 60);
    set_timeout(pair[0], SO_RCVTIMEO, ms(30));  // a second time
    TIMES_OUT(read(pair[0], &c, 1), 30);
    CHECK_EQ(write(pair[1], "bc", 2), 2);
    CHECK_EQ(recv(pair[0], block, 10, MSG_WAITALL), 2);  // time-out with some bytes: a short count
    set_timeout(pair[0], SO_RCVTIMEO, 0);                // removed: waits for ever
    pthread_t t = start(write_later, (void*)(long)pair[1]);
    CHECK_EQ(read(pair[0], &c, 1), 1);
    finish(t);
    set_timeout(pair[0], SO_RCVTIMEO, ms(40));
    int number = pair[0];
    close(pair[0]);
    close(pair[1]);
    if (arg) {  // the same number, another socket: no stale time-out
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        if (pair[0] != number) CHECK_OK(dup2(pair[0], number));
        t = start(write_later, (void*)(long)pair[1]);
        CHECK_EQ(read(number, &c, 1), 1);
        finish(t);
    }
    int listener = listen_tcp(1, &address);
    set_timeout(listener, SO_RCVTIMEO, ms(60));
    TIMES_OUT(accept(listener, NULL, NULL), 60);
    struct timeval back;
    socklen_t length = sizeof back;
    CHECK_OK(getsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &back, &length));
    CHECK(back.tv_sec == 0 && back.tv_usec >= 60000 && back.tv_usec < 70000);
    close(listener);
    return NULL;
}

int main(void) {
    all(NULL);
    all((void*)1);
    say("ok");
}
