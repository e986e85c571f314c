// echo_load.c - the load on an echo server: many connections from one epoll loop, every byte compared.
//
// usage: echo_load PORT CONNECTIONS MESSAGE_BYTES SECONDS|-ROUNDS
// prints "connected N" when all connections stand (each has had one answer), then
// "connections N requests N seconds S rate R errors N", where each request is one message there and back
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    unsigned sequence;
    long left;
    int got;
};

static int size;
static long errors, requests;

static void fail(const char* what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void pattern(unsigned char* out, int id, unsigned sequence) {
    uint32_t x = id * 2654435761u ^ sequence * 40503u ^ 0x9e3779b9u;
    for (int i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = x >> 24;
    }
}

static int send_next(struct connection* c, int id, unsigned char* buffer) {
    pattern(buffer, id, c->sequence);
    c->got = 0;
    return send(c->fd, buffer, size, MSG_NOSIGNAL) == size ? 0 : -1;
}

int main(int argc, char** argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: echo_load PORT CONNECTIONS MESSAGE_BYTES SECONDS|-ROUNDS\n");
        return 2;
    }
    int port = atoi(argv[1]), n = atoi(argv[2]), on = 1;
    double seconds = atof(argv[4]);
    long rounds = seconds < 0 ? -atol(argv[4]) : 0;
    size = atoi(argv[3]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct connection* all = calloc(n, sizeof *all);
    unsigned char *want = malloc(size), *in = malloc(size);
    int e = epoll_create1(0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < n; i++) {
        all[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (all[i].fd == -1) fail("socket");
        if (connect(all[i].fd, (struct sockaddr*)&a, sizeof a)) fail("connect");
        setsockopt(all[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (send_next(&all[i], i, want)) fail("send");
        for (int got = 0; got < size;) {
            ssize_t m = recv(all[i].fd, in + got, size - got, 0);
            if (m <= 0) fail("recv");
            got += m;
        }
        pattern(want, i, 0);
        errors += memcmp(want, in, size) != 0;
        all[i].sequence++;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(e, EPOLL_CTL_ADD, all[i].fd, &event)) fail("epoll_ctl");
    }
    printf("connected %d\n", n);
    fflush(stdout);
    double begin = now(), end = begin + (rounds ? 1e9 : seconds);
    int open_ones = n;
    for (int i = 0; i < n; i++) {
        all[i].left = rounds ? rounds : 1;
        if (send_next(&all[i], i, want)) fail("send");
    }
    while (open_ones > 0) {
        struct epoll_event events[512];
        int count = epoll_wait(e, events, 512, 30000);
        if (count == 0) {
            fprintf(stderr, "echo_load: no answer for 30 s\n");
            return 1;
        }
        if (count == -1 && errno == EINTR) continue;
        int last = now() >= end;
        for (int k = 0; k < count; k++) {
            int i = events[k].data.u32;
            struct connection* c = &all[i];
            ssize_t m = recv(c->fd, in, size - c->got, MSG_DONTWAIT);
            if (m <= 0) {
                errors++;
                epoll_ctl(e, EPOLL_CTL_DEL, c->fd, NULL);
                open_ones--;
                continue;
            }
            pattern(want, i, c->sequence);
            errors += memcmp(want + c->got, in, m) != 0;
            c->got += m;
            if (c->got < size) continue;
            requests++;
            c->sequence++;
            if (rounds ? --c->left == 0 : last) {
                epoll_ctl(e, EPOLL_CTL_DEL, c->fd, NULL);
                open_ones--;
            } else if (send_next(c, i, want)) {
                errors++;
                open_ones--;
            }
        }
    }
    double took = now() - begin;
    printf("connections %d requests %ld seconds %.3f rate %.0f errors %ld\n", n, requests, took, requests / took,
           errors);
    for (int i = 0; i < n; i++) close(all[i].fd);
    return errors != 0;
}
