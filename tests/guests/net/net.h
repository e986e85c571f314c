// net.h - sockets on loopback for the guests of this folder.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

// a listening TCP socket on a free port of 127.0.0.1
__attribute__((unused)) static int listen_tcp(int backlog, struct sockaddr_in* address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof *address;
    CHECK_OK(fd);
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_OK(bind(fd, (struct sockaddr*)address, sizeof *address));
    CHECK_OK(listen(fd, backlog));
    CHECK_OK(getsockname(fd, (struct sockaddr*)address, &length));
    return fd;
}

__attribute__((unused)) static int connect_tcp(const struct sockaddr_in* address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_OK(fd);
    CHECK_OK(connect(fd, (const struct sockaddr*)address, sizeof *address));
    return fd;
}

// two ends of one TCP connection
__attribute__((unused)) static void tcp_pair(int pair[2]) {
    struct sockaddr_in address;
    int listener = listen_tcp(1, &address);
    pair[0] = connect_tcp(&address);
    CHECK_OK(pair[1] = accept(listener, NULL, NULL));
    close(listener);
}

__attribute__((unused)) static struct sockaddr_un unix_address(const char* path) {
    struct sockaddr_un a;
    memset(&a, 0, sizeof a);
    a.sun_family = AF_UNIX;
    strncpy(a.sun_path, path, sizeof a.sun_path - 1);
    return a;
}

__attribute__((unused)) static void set_timeout(int fd, int option, long long ns) {
    struct timeval t;
    t.tv_sec = ns / 1000000000;
    t.tv_usec = ns % 1000000000 / 1000;
    CHECK_OK(setsockopt(fd, SOL_SOCKET, option, &t, sizeof t));
}
