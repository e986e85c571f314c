// udp_addresses_and_errors_come_back.c - recvfrom names the sender; a connected socket hears ECONNREFUSED; 20
// threads.
#include "net.h"

static int bound(struct sockaddr_in* a) {
    socklen_t length = sizeof *a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_OK(bind(fd, (struct sockaddr*)a, sizeof *a));
    CHECK_OK(getsockname(fd, (struct sockaddr*)a, &length));
    return fd;
}

static struct sockaddr_in server_address;
static int server_fd;

static void* server(void* arg) {
    char text[64];
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(server_fd, text, sizeof text, 0, (struct sockaddr*)&from, &length);
        CHECK(n >= 0 && length == sizeof from);
        if (n == 0) return NULL;
        CHECK_EQ(sendto(server_fd, text, n, 0, (struct sockaddr*)&from, length), n);
    }
}

static void* client(void* arg) {
    struct sockaddr_in me;
    int fd = bound(&me);
    long out = (long)arg, in;
    CHECK_OK(connect(fd, (struct sockaddr*)&server_address, sizeof server_address));
    for (int i = 0; i < 20; i++, out += 1000) {
        CHECK_EQ(send(fd, &out, sizeof out, 0), sizeof out);
        CHECK_EQ(recv(fd, &in, sizeof in, 0), sizeof in);
        CHECK_EQ(in, out);
    }
    close(fd);
    return NULL;
}

int main(void) {
    pthread_t t[20], s;
    server_fd = bound(&server_address);
    s = start(server, NULL);
    for (long i = 0; i < 20; i++) t[i] = start(client, (void*)i);
    for (int i = 0; i < 20; i++) finish(t[i]);
    struct sockaddr_in gone;
    int fd = bound(&gone), lonely = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(sendto(fd, "", 0, 0, (struct sockaddr*)&server_address, sizeof server_address), 0);
    finish(s);
    close(fd);
    CHECK_OK(connect(lonely, (struct sockaddr*)&gone, sizeof gone));
    CHECK_EQ(send(lonely, "x", 1, 0), 1);
    char c;
    CHECK_ERR(recv(lonely, &c, 1, 0), ECONNREFUSED);
    say("ok");
}
