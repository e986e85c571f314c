// nonblocking_descriptors_stay_eagain.c - O_NONBLOCK set by pipe2, fcntl, FIONBIO, on pipes, sockets, eventfd: never
// a wait.
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static void* all(void* arg) {
    int fds[2], pair[2], on = 1, off = 0;
    char c, block[4096] = {0};
    CHECK_OK(pipe2(fds, O_NONBLOCK));
    CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
    CHECK_ERR(readv(fds[0], &(struct iovec){&c, 1}, 1), EAGAIN);
    ssize_t n, total = 0;
    while ((n = write(fds[1], block, sizeof block)) > 0) total += n;
    CHECK(n == -1 && errno == EAGAIN);
    CHECK_EQ(total, 65536);
    CHECK_ERR(write(fds[1], block, 1), EAGAIN);
    CHECK_EQ(read(fds[0], block, 100), 100);
    CHECK_ERR(write(fds[1], block, PIPE_BUF), EAGAIN);  // all or nothing
    close(fds[0]);
    close(fds[1]);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK_OK(fcntl(pair[0], F_SETFL, O_NONBLOCK));
    CHECK_ERR(read(pair[0], &c, 1), EAGAIN);
    CHECK_ERR(recv(pair[0], &c, 1, MSG_WAITALL), EAGAIN);
    while ((n = write(pair[0], block, sizeof block)) > 0) {
    }
    CHECK(n == -1 && errno == EAGAIN);
    CHECK_OK(ioctl(pair[0], FIONBIO, &off));
    CHECK_ERR(send(pair[0], block, sizeof block, MSG_DONTWAIT), EAGAIN);
    CHECK_ERR(recv(pair[0], block, sizeof block, MSG_DONTWAIT), EAGAIN);
    CHECK_OK(ioctl(pair[1], FIONBIO, &on));
    while (read(pair[1], block, sizeof block) > 0) {
    }
    CHECK_EQ(errno, EAGAIN);
    close(pair[0]);
    close(pair[1]);
    int e = eventfd(0, EFD_NONBLOCK);
    uint64_t value = UINT64_MAX - 1;
    CHECK_ERR(read(e, &value, 8), EAGAIN);
    value = UINT64_MAX - 1;
    CHECK_EQ(write(e, &value, 8), 8);
    CHECK_ERR(write(e, &value, 8), EAGAIN);
    close(e);
    return NULL;
}

int main(void) {
    all(NULL);
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    say("ok");
}
