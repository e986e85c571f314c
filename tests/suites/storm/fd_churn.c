// numbers change their meaning: close and dup2 under waiting threads, ten thousand sockets, reuse at once
#include "storm.h"
static int rounds;
static atomic_int stop;
static void* opens(void* p) {
    unsigned seed = (unsigned)(long)p + 11;
    for (int i = 0; i < rounds * 10; i++) {
        int fd[2];
        CHECK((next_random(&seed) % 2 ? pipe(fd) : socketpair(AF_UNIX, SOCK_STREAM, 0, fd)) == 0);
        char b[16], got[16];
        memset(b, (int)(long)p, sizeof b);
        write_all(fd[1], b, sizeof b);
        read_all(fd[0], got, sizeof got);
        CHECK(!memcmp(b, got, sizeof b));
        int copy = dup(fd[0]);
        CHECK(copy >= 0);
        close(fd[0]);
        write_all(fd[1], b, 1);
        read_all(copy, got, 1);
        close(fd[1]);
        CHECK(read(copy, got, 1) == 0);
        close(copy);
    }
    return NULL;
}
// A reader waits on a number which is closed or replaced; it goes on with the file it began with.
static void* waits(void* p) {
    int fd = *(int*)p;
    char b;
    ssize_t r = read(fd, &b, 1);
    CHECK(r == 1 ? b == 'q' : errno == EBADF);  // closed before it began to wait
    return NULL;
}
static void closes(void) {
    for (int i = 0; i < rounds; i++) {
        int fd[2], other[2];
        CHECK(pipe(fd) == 0);
        CHECK(pipe(other) == 0);
        pthread_t t[4];
        for (int k = 0; k < 4; k++) t[k] = start(waits, &fd[0]);
        if (i % 3) usleep(1000);
        int keep = dup(fd[0]);
        if (i % 2)
            CHECK(dup2(other[0], fd[0]) == fd[0]);
        else
            close(fd[0]);
        write_all(fd[1], "qqqq", 4);
        write_all(other[1], "qqqq", 4);
        for (int k = 0; k < 4; k++) finish(t[k]);
        if (i % 2) close(fd[0]);
        close(keep);
        close(fd[1]), close(other[0]), close(other[1]);
    }
}
static void* echoes(void* p) {
    int ep = *(int*)p;
    while (!atomic_load(&stop)) {
        struct epoll_event e[64];
        int n = epoll_wait(ep, e, 64, 20);
        for (int i = 0; i < n; i++) {
            char b[64];
            ssize_t r = recv(e[i].data.fd, b, sizeof b, MSG_DONTWAIT);
            if (r > 0) write_all(e[i].data.fd, b, (size_t)r);
        }
    }
    return NULL;
}
static void many(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int pairs = limit.rlim_max >= 12000 ? 5000 : (int)limit.rlim_max / 3;
    int (*fd)[2] = malloc(sizeof(int[2]) * (size_t)pairs);
    int ep = epoll_create1(0);
    for (int i = 0; i < pairs; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]) == 0);
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd[i][1]};
        CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd[i][1], &e) == 0);
    }
    atomic_store(&stop, 0);
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start(echoes, &ep);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < pairs; i++) {
            int v = i, back = -1;
            write_all(fd[i][0], &v, sizeof v);
            if (i % 100 == 0) {
                read_all(fd[i][0], &back, sizeof back);
                CHECK(back == v);
            }
        }
    for (int i = 0; i < pairs; i++) {
        int back;
        for (int k = 0; k < (i % 100 ? 2 : 0); k++) {
            read_all(fd[i][0], &back, sizeof back);
            CHECK(back == i);
        }
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) finish(t[i]);
    for (int i = 0; i < pairs; i++) close(fd[i][0]), close(fd[i][1]);
    close(ep);
}
int main(int argc, char** argv) {
    rounds = times(argc, argv, 20);
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(opens, (void*)i);
    for (int i = 0; i < 8; i++) finish(t[i]);
    closes();
    many();
    puts("ok");
    return 0;
}
