// socket.c - client and server over loopback, either or both of them tasks, with read/write, readv/writev, recvmsg/sendmsg
//
// The messages: 12 bytes into a buffer of 256, then 26 bytes into one of 512; a word in between; then the end.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "example.h"

enum style { PLAIN, VECTOR, MESSAGE, STYLES };
static const char* const names[STYLES] = {"read/write", "readv/writev", "recvmsg/sendmsg"};
static const char first[] = "twelve bytes", second[] = "abcdefghijklmnopqrstuvwxyz";

static ssize_t put(enum style style, int fd, const char* bytes, size_t n) {
    struct iovec parts[2] = {{(void*)bytes, n / 2}, {(void*)(bytes + n / 2), n - n / 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (style == PLAIN) return write(fd, bytes, n);
    return style == VECTOR ? writev(fd, parts, 2) : sendmsg(fd, &message, 0);
}
static ssize_t get(enum style style, int fd, char* bytes, size_t n) {
    struct iovec parts[2] = {{bytes, 8}, {bytes + 8, n - 8}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (style == PLAIN) return read(fd, bytes, n);
    return style == VECTOR ? readv(fd, parts, 2) : recvmsg(fd, &message, 0);
}

struct end {
    enum style style;
    int fd;  // the server's listener
    struct sockaddr_in address;
};

static void* server(void* argument) {
    struct end* e = argument;
    int peer = accept(e->fd, NULL, NULL);
    MUST(peer >= 0);
    char small[256], large[512];
    MUST(get(e->style, peer, small, sizeof small) == 12 && !memcmp(small, first, 12));
    MUST(put(e->style, peer, "next", 4) == 4);
    MUST(get(e->style, peer, large, sizeof large) == 26 && !memcmp(large, second, 26));
    MUST(put(e->style, peer, large, 26) == 26);
    MUST(get(e->style, peer, small, sizeof small) == 0);
    close(peer);
    return NULL;
}
static void* client(void* argument) {
    struct end* e = argument;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(fd, (struct sockaddr*)&e->address, sizeof e->address) == 0);
    char small[256], large[512];
    oc_sleep(1000000);  // the server waits first
    MUST(put(e->style, fd, first, 12) == 12);
    MUST(get(e->style, fd, small, sizeof small) == 4);
    MUST(put(e->style, fd, second, 26) == 26);
    MUST(get(e->style, fd, large, sizeof large) == 26 && !memcmp(large, second, 26));
    close(fd);
    return NULL;
}

// Both at once: as tasks or as ordinary threads.
static void meet(enum style style, int server_is_task, int client_is_task) {
    struct end e = {style, socket(AF_INET, SOCK_STREAM, 0), {.sin_family = AF_INET}};
    e.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof e.address;
    MUST(bind(e.fd, (struct sockaddr*)&e.address, n) == 0 && listen(e.fd, 8) == 0);
    MUST(getsockname(e.fd, (struct sockaddr*)&e.address, &n) == 0);
    void* (*ends[2])(void*) = {server, client};
    int is_task[2] = {server_is_task, client_is_task};
    oc_task* tasks[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        if (is_task[i])
            tasks[i] = oc_task_create(ends[i], &e, 0);
        else
            MUST(pthread_create(&threads[i], NULL, ends[i], &e) == 0);
    }
    for (int i = 0; i < 2; i++) {
        if (is_task[i])
            join(tasks[i]);
        else
            pthread_join(threads[i], NULL);
    }
    close(e.fd);
    printf("%s: server %s, client %s\n", names[style], server_is_task ? "task" : "thread", client_is_task ? "task" : "thread");
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    start();
    for (int style = 0; style < STYLES; style++)
        for (int who = 1; who < 4; who++) meet((enum style)style, who & 1, who >> 1);
    finish();
}
