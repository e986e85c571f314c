// load.c - one epoll loop that keeps one request of fixed form outstanding on each of N connections of a server
//
// usage: load PORT CONNECTIONS SECONDS REQUEST RESPONSE_BYTES [FIRST FIRST_RESPONSE_BYTES]
// REQUEST and FIRST (sent once, before) know \r and \n; Every answer has RESPONSE_BYTES.
// With LOAD_PROGRESS in the environment, a file of eight bytes: the number of answers so far is kept there.
// Prints "connected N" when all connections stand (each has had one answer) and `rate R req/s`; waits with SECONDS 0 until its
// standard input ends, connections open and idle.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "bench.h"

static char buffer[65536];

static void unescape(char* s) {
    char* to = s;
    for (; *s; s++) {
        if (*s == '\\' && (s[1] == 'r' || s[1] == 'n')) *to++ = *++s == 'r' ? '\r' : '\n';
        else *to++ = *s;
    }
    *to = 0;
}

static int open_one(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0, "socket");
    must(connect(fd, (struct sockaddr*)&a, sizeof a) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void ask(int fd, const char* request) {
    size_t n = strlen(request);
    must(send(fd, request, n, MSG_NOSIGNAL) == (ssize_t)n, "send");
}

static void whole_answer(int fd, long bytes) {
    for (long got = 0; got < bytes;) {
        ssize_t m = recv(fd, buffer, sizeof buffer, 0);
        must(m > 0, "recv");
        got += m;
    }
}

int main(int argc, char** argv) {
    must(argc == 6 || argc == 8, "usage: load PORT CONNECTIONS SECONDS REQUEST RESPONSE_BYTES [FIRST FIRST_RESPONSE_BYTES]");
    int port = atoi(argv[1]), n = atoi(argv[2]);
    double seconds = atof(argv[3]);
    char* request = argv[4];
    long bytes = atol(argv[5]);
    unescape(request);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int e = epoll_create1(0), *fds = calloc(n, sizeof *fds);
    long *got = calloc(n, sizeof *got), requests = 0, unseen = 0;
    volatile long* progress = &unseen;
    if (getenv("LOAD_PROGRESS")) {
        int file = open(getenv("LOAD_PROGRESS"), O_RDWR | O_CLOEXEC);
        progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        must(progress != MAP_FAILED, "LOAD_PROGRESS");
    }
    if (argc == 8) {
        unescape(argv[6]);
        int fd = open_one(port);
        ask(fd, argv[6]);
        whole_answer(fd, atol(argv[7]));
        close(fd);
    }
    for (int i = 0; i < n; i++) {
        fds[i] = open_one(port);
        ask(fds[i], request);
        whole_answer(fds[i], bytes);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        must(epoll_ctl(e, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
    }
    printf("connected %d\n", n);
    fflush(stdout);
    if (seconds == 0) {
        while (read(0, buffer, sizeof buffer) > 0) {
        }
        return 0;
    }
    for (int i = 0; i < n; i++) ask(fds[i], request);
    double begin = now_ns(), end = begin + seconds * 1e9;
    struct epoll_event events[512];
    while (now_ns() < end) {
        int count = epoll_wait(e, events, 512, 10000);
        must(count > 0 || (count < 0 && errno == EINTR), "no answer for 10 s");
        for (int k = 0; k < count; k++) {
            int i = events[k].data.u32;
            ssize_t m = recv(fds[i], buffer, sizeof buffer, MSG_DONTWAIT);
            must(m > 0, "recv");
            got[i] += m;
            if (got[i] < bytes) continue;
            must(got[i] == bytes, "an answer that is too long");
            got[i] = 0;
            *progress = ++requests;
            ask(fds[i], request);
        }
    }
    printf("rate %.1f req/s\n", requests / ((now_ns() - begin) / 1e9));
    return 0;
}
