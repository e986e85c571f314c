// nonblocking_connect_completes_through_poll.c - EINPROGRESS, POLLOUT, SO_ERROR; refusal is reported there too.
#include "net.h"

static void* all(void* arg) {
    struct sockaddr_in address;
    int listener = listen_tcp(5, &address), error = -1;
    socklen_t length = sizeof error;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int r = connect(fd, (struct sockaddr*)&address, sizeof address);
    CHECK(r == 0 || errno == EINPROGRESS);
    struct pollfd p = {fd, POLLOUT, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(p.revents, POLLOUT);
    CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    CHECK_EQ(error, 0);
    CHECK_OK(fcntl(fd, F_SETFL, 0));
    close(fd);
    close(listener);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r = connect(fd, (struct sockaddr*)&address, sizeof address);
    if (r == -1 && errno == EINPROGRESS) {
        p.fd = fd;
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
        CHECK_EQ(error, ECONNREFUSED);
    } else {
        CHECK(r == -1 && errno == ECONNREFUSED);
    }
    close(fd);
    return NULL;
}

int main(void) {
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    say("ok");
}
