// shutdown_and_reset_wake_waiting_threads.c - shutdown ends recv and accept elsewhere; a reset is ECONNRESET; EPIPE
// after.
#include "net.h"

static void* receive(void* arg) {
    char c;
    ssize_t n = recv((int)(long)arg, &c, 1, 0);
    return (void*)(long)(n == -1 ? -errno : n);
}

static void* accept_one(void* arg) {
    int fd = accept((int)(long)arg, NULL, NULL);
    return (void*)(long)(fd == -1 ? -errno : fd);
}

int main(void) {
    int pair[2];
    struct sockaddr_in address;
    signal(SIGPIPE, SIG_IGN);
    for (int kind = 0; kind < 2; kind++) {
        if (kind) {
            tcp_pair(pair);
        } else {
            CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        }
        pthread_t t = start(receive, (void*)(long)pair[0]), u = start(receive, (void*)(long)pair[1]);
        settle();
        CHECK_OK(shutdown(pair[0], SHUT_RDWR));
        CHECK_EQ((long)finish(t), 0);
        CHECK_EQ((long)finish(u), 0);
        CHECK_ERR(send(pair[0], "x", 1, 0), EPIPE);
        close(pair[0]);
        close(pair[1]);
    }
    tcp_pair(pair);
    pthread_t t = start(receive, (void*)(long)pair[0]);
    settle();
    struct linger at_once = {1, 0};
    CHECK_OK(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    close(pair[1]);
    CHECK_EQ((long)finish(t), -ECONNRESET);
    CHECK_ERR(send(pair[0], "x", 1, 0), EPIPE);
    int listener = listen_tcp(5, &address);
    t = start(accept_one, (void*)(long)listener);
    settle();
    CHECK_OK(shutdown(listener, SHUT_RDWR));
    CHECK_EQ((long)finish(t), -EINVAL);
    say("ok");
}
