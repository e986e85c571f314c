// epoll_echo.c - the echo server written by hand around one edge-triggered epoll loop: what an event loop reaches
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    struct rlimit limit;
    int on = 1, e = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    if (bind(listener, (struct sockaddr*)&a, sizeof a) || listen(listener, 4096) || epoll_ctl(e, EPOLL_CTL_ADD, listener, &event)) {
        perror("epoll_echo");
        return 1;
    }
    getsockname(listener, (struct sockaddr*)&a, &length);
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    event = (struct epoll_event){.events = EPOLLIN, .data.fd = 0};
    epoll_ctl(e, EPOLL_CTL_ADD, 0, &event);
    static char block[16384];
    for (;;) {
        int n = epoll_wait(e, events, 512, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) return 0;  // standard input ended
            if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd};
                    epoll_ctl(e, EPOLL_CTL_ADD, fd, &event);
                }
                continue;
            }
            for (;;) {
                ssize_t m = recv(fd, block, sizeof block, 0);
                if (m > 0 && send(fd, block, m, MSG_NOSIGNAL) == m) continue;
                if (m >= 0 || errno != EAGAIN) close(fd);
                break;
            }
        }
    }
}
