// connect_tries_every_address_in_time.c - oc_connect_*: the address that answers, the error of the last, the end of the time
// TEST: libs=ocrun_shared
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "api.h"

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
}
static int listener(int* port, int backlog) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof a;
    CHECK_OK(bind(fd, (struct sockaddr*)&a, sizeof a));
    if (backlog >= 0) CHECK_OK(listen(fd, backlog));
    CHECK_OK(getsockname(fd, (struct sockaddr*)&a, &n));
    *port = ntohs(a.sin_port);
    return fd;
}
static int try(const int* ports, int n, uint64_t timeout) {
    struct sockaddr_in a[8];
    struct addrinfo list[8];
    memset(list, 0, sizeof list);
    for (int i = 0; i < n; i++) {
        a[i] = loopback(ports[i]);
        list[i].ai_family = AF_INET;
        list[i].ai_socktype = SOCK_STREAM;
        list[i].ai_addr = (struct sockaddr*)&a[i];
        list[i].ai_addrlen = sizeof a[i];
        list[i].ai_next = i + 1 < n ? &list[i + 1] : NULL;
    }
    return oc_connect_addresses(n ? list : NULL, timeout);
}

static void* check(void* unused) {
    int good, refused, full;
    int a = listener(&good, 5), b = listener(&refused, -1), c = listener(&full, 0);
    // fill the backlog: nobody accepts, so a further connect gets no answer
    int fill[8];
    for (int i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct sockaddr_in to = loopback(full);
        connect(fill[i], (struct sockaddr*)&to, sizeof to);
    }
    int fd = try((int[]){refused, full, good}, 3, 2000 * MS);
    CHECK(fd >= 0);
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    int peer = accept(a, NULL, NULL);
    CHECK_EQ(write(fd, "hello", 5), 5);
    char text[8];
    CHECK_EQ(read(peer, text, 8), 5);
    CHECK_EQ(try((int[]){full, refused}, 2, 1000 * MS), -ECONNREFUSED);
    CHECK_EQ(try((int[]){refused, full}, 2, 50 * MS), -ETIMEDOUT);
    // No time at all: answers that are there at once count, for each address. The loopback's nearly always are.
    CHECK_EQ(try((int[]){refused, full}, 2, 1), -ETIMEDOUT);
    int at_once = 0;
    for (int i = 0; i < 1000 && at_once != -ECONNREFUSED; i++) at_once = try((int[]){full, refused}, 2, 1);
    CHECK_EQ(at_once, -ECONNREFUSED);
    for (int i = 0; i < 1000 && at_once < 0; i++) at_once = try((int[]){full, refused, good}, 3, 1);
    CHECK(at_once >= 0);
    int its_peer = accept(a, NULL, NULL);
    CHECK_OK(its_peer);
    close(at_once), close(its_peer);
    CHECK_EQ(try(NULL, 0, 50 * MS), -EHOSTUNREACH);

    char service[16];
    snprintf(service, sizeof service, "%d", good);
    int by_name = oc_connect_timeout("127.0.0.1", service, OC_FOREVER);
    CHECK(by_name >= 0);
    snprintf(service, sizeof service, "%d", refused);
    CHECK_EQ(oc_connect_timeout("127.0.0.1", service, 1000 * MS), -ECONNREFUSED);
    close(by_name);
    close(fd), close(peer), close(a), close(b), close(c);
    for (int i = 0; i < 8; i++) close(fill[i]);
    return NULL;
}

int main(void) {
    api_start();
    check(NULL);
    finished(oc_task_create(check, NULL, 0), 0);
    api_end();
    say("ok");
    return 0;
}
