// connect_waits_while_the_backlog_is_full.c - a unix connect blocks until accept makes room; with O_NONBLOCK it is
// EAGAIN.
#include "net.h"

static struct sockaddr_un path;
static _Atomic int connected;

static void* connect_blocking(void* arg) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(connect(fd, (struct sockaddr*)&path, sizeof path));
    connected++;
    return (void*)(long)fd;
}

int main(void) {
    pthread_t t[6];
    path = unix_address("socket");
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr*)&path, sizeof path));
    CHECK_OK(listen(listener, 0));
    for (int i = 0; i < 6; i++) t[i] = start(connect_blocking, NULL);
    while (connected < 1) sleep_ms(1);
    settle();
    CHECK_EQ(connected, 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_ERR(connect(fd, (struct sockaddr*)&path, sizeof path), EAGAIN);
    int slow = socket(AF_UNIX, SOCK_STREAM, 0);
    set_timeout(slow, SO_SNDTIMEO, ms(60));
    long long begin = now_ns();
    CHECK_ERR(connect(slow, (struct sockaddr*)&path, sizeof path), EAGAIN);
    CHECK(now_ns() - begin >= ms(55));
    for (int i = 0; i < 6; i++) CHECK_OK(accept(listener, NULL, NULL));
    for (int i = 0; i < 6; i++) finish(t[i]);
    say("connected %d", connected);
}
