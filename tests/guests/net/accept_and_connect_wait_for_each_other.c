// accept_and_connect_wait_for_each_other.c - several threads in accept on one socket; unix and TCP; errors of
// connect.
#include "net.h"

static int listener;
static _Atomic int accepted;

static void* accept_one(void* arg) {
    int fd = accept(listener, NULL, NULL);
    CHECK_OK(fd);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    accepted++;
    close(fd);
    return NULL;
}

int main(void) {
    struct sockaddr_in address;
    struct sockaddr_un path = unix_address("socket");
    pthread_t t[10];
    listener = listen_tcp(16, &address);
    for (int i = 0; i < 10; i++) t[i] = start(accept_one, NULL);
    settle();
    CHECK_EQ(accepted, 0);
    for (int i = 0; i < 10; i++) close(connect_tcp(&address));
    for (int i = 0; i < 10; i++) finish(t[i]);
    close(listener);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERR(connect(fd, (struct sockaddr*)&address, sizeof address), ECONNREFUSED);
    CHECK_ERR(connect(fd, (struct sockaddr*)&address, 3), EINVAL);
    close(fd);

    CHECK_OK(listener = socket(AF_UNIX, SOCK_STREAM, 0));
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_ERR(connect(fd, (struct sockaddr*)&path, sizeof path), ENOENT);
    CHECK_OK(bind(listener, (struct sockaddr*)&path, sizeof path));
    CHECK_ERR(connect(fd, (struct sockaddr*)&path, sizeof path), ECONNREFUSED);
    CHECK_ERR(accept(listener, NULL, NULL), EINVAL);
    CHECK_OK(listen(listener, 5));
    for (int i = 0; i < 5; i++) t[i] = start(accept_one, NULL);
    settle();
    for (int i = 0; i < 5; i++) {
        int c = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK_OK(connect(c, (struct sockaddr*)&path, sizeof path));
        CHECK_ERR(connect(c, (struct sockaddr*)&path, sizeof path), EISCONN);
        close(c);
    }
    for (int i = 0; i < 5; i++) finish(t[i]);
    CHECK_OK(fcntl(listener, F_SETFL, O_NONBLOCK));
    CHECK_ERR(accept(listener, NULL, NULL), EAGAIN);
    CHECK_ERR(accept(0, NULL, NULL), ENOTSOCK);
    CHECK_ERR(accept(999, NULL, NULL), EBADF);
    say("accepted %d", accepted);
}
