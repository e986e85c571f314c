// tcp_echo_between_a_hundred_threads.c - a thread per connection on both sides, every byte comes back.
// TEST: link=dynamic,static,musl
#include "net.h"

enum { N = 100, ROUNDS = 20 };
static struct sockaddr_in address;
static int listener;

static void* serve(void* arg) {
    int fd = (int)(long)arg;
    char block[512];
    for (ssize_t n; (n = recv(fd, block, sizeof block, 0)) != 0;) {
        CHECK(n > 0);
        for (ssize_t sent = 0; sent < n;) {
            ssize_t m = send(fd, block + sent, n - sent, 0);
            CHECK(m > 0);
            sent += m;
        }
    }
    close(fd);
    return NULL;
}

static void* accept_all(void* arg) {
    pthread_t t[N];
    for (int i = 0; i < N; i++) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        int fd = accept4(listener, (struct sockaddr*)&peer, &length, SOCK_CLOEXEC);
        CHECK_OK(fd);
        CHECK_EQ(length, sizeof peer);
        CHECK_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
        t[i] = start(serve, (void*)(long)fd);
    }
    for (int i = 0; i < N; i++) finish(t[i]);
    return NULL;
}

static void* client(void* arg) {
    int fd = connect_tcp(&address);
    char out[300], in[300];
    for (int i = 0; i < ROUNDS; i++) {
        memset(out, 'a' + ((long)arg + i) % 26, sizeof out);
        CHECK_EQ(write(fd, out, sizeof out), sizeof out);
        CHECK_EQ(read_all(fd, in, sizeof in), sizeof in);
        CHECK(memcmp(in, out, sizeof in) == 0);
    }
    close(fd);
    return NULL;
}

int main(void) {
    pthread_t t[N], server;
    listener = listen_tcp(128, &address);
    server = start(accept_all, NULL);
    for (long i = 0; i < N; i++) t[i] = start(client, (void*)i);
    for (int i = 0; i < N; i++) finish(t[i]);
    finish(server);
    say("ok");
}
