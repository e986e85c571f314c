// echo_server.c - a thread for every connection, blocking calls only: the program that ocrun is shown with.
//
// usage: echo_server [PORT] (0 or none: a free one); prints "port N", serves until its standard input ends or SIGTERM
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char* what) {
    perror(what);
    exit(1);
}

static void* serve(void* arg) {
    int fd = (int)(long)arg;
    char block[16384];
    for (;;) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0) break;
        for (ssize_t sent = 0; sent < n;) {
            ssize_t m = send(fd, block + sent, n - sent, MSG_NOSIGNAL);
            if (m <= 0) {
                n = 0;
                break;
            }
            sent += m;
        }
        if (n == 0) break;
    }
    close(fd);
    return NULL;
}

static void* accept_all(void* arg) {
    int listener = (int)(long)arg, on = 1;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t t;
        int fd = accept(listener, NULL, NULL);
        if (fd == -1) fail("accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        int e = pthread_create(&t, &attr, serve, (void*)(long)fd);
        if (e) {
            fprintf(stderr, "pthread_create: %s\n", strerror(e));
            exit(1);
        }
    }
}

int main(int argc, char** argv) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    struct rlimit limit;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1) fail("socket");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr*)&a, sizeof a)) fail("bind");
    if (listen(listener, 4096)) fail("listen");
    getsockname(listener, (struct sockaddr*)&a, &length);
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    pthread_t t;
    if (pthread_create(&t, NULL, accept_all, (void*)(long)listener)) fail("pthread_create");
    char c;
    while (read(0, &c, 1) > 0) {
    }
    return 0;
}
