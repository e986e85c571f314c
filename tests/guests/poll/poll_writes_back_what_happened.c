// poll_writes_back_what_happened.c - revents: IN, OUT, HUP, ERR, NVAL, RDHUP; negative descriptors are skipped.
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

static short poll_one(int fd, short events) {
    struct pollfd p = {fd, events, 0x7fff};
    int n = poll(&p, 1, 0);
    CHECK_EQ(n, p.revents != 0);
    return p.revents;
}

int main(void) {
    int fds[2], pair[2];
    char c;
    make_pipe(fds);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    say("empty pipe %#x %#x", poll_one(fds[0], POLLIN | POLLOUT), poll_one(fds[1], POLLIN | POLLOUT));
    CHECK_EQ(write(fds[1], "x", 1), 1);
    say("full of one %#x, not asked %#x", poll_one(fds[0], POLLIN), poll_one(fds[0], 0));
    close(fds[1]);
    say("writer gone %#x", poll_one(fds[0], POLLIN));
    CHECK_EQ(read(fds[0], &c, 1), 1);
    say("and read %#x, not asked %#x", poll_one(fds[0], POLLIN), poll_one(fds[0], 0));
    make_pipe(fds);
    close(fds[0]);
    say("reader gone %#x", poll_one(fds[1], POLLOUT));
    close(fds[1]);
    say("closed %#x, negative %#x", poll_one(fds[1], POLLIN), poll_one(-1, POLLIN));
    say("socket %#x", poll_one(pair[0], POLLIN | POLLOUT | POLLRDHUP));
    shutdown(pair[1], SHUT_WR);
    say("half closed %#x", poll_one(pair[0], POLLIN | POLLOUT | POLLRDHUP));
    close(pair[1]);
    say("peer gone %#x", poll_one(pair[0], POLLIN | POLLOUT | POLLRDHUP));
    int file = open("file", O_RDWR | O_CREAT, 0600);
    say("file %#x", poll_one(file, POLLIN | POLLOUT));
    struct pollfd many[3] = {{pair[0], POLLIN, 0}, {-1, POLLIN, 0}, {file, POLLOUT, 0}};
    say("many %d: %#x %#x %#x", poll(many, 3, -1), many[0].revents, many[1].revents, many[2].revents);
    CHECK_ERR(poll((void*)8, 1, 0), EFAULT);
    CHECK_ERR(ppoll(many, 3, &(struct timespec){-1, 0}, NULL), EINVAL);
    CHECK_ERR(ppoll(many, 3, &(struct timespec){0, 1000000000}, NULL), EINVAL);
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    CHECK_ERR(poll(many, limit.rlim_cur + 1, 0), EINVAL);
}
