// exec from one thread while 50 others are parked in all kinds of calls
#include "storm.h"
static int pipe_fd[2], sockets[2], ep;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static void* parked(void* p) {
    char b;
    switch ((long)p % 7) {
        case 0: (void)!read(pipe_fd[0], &b, 1); break;
        case 1: recv(sockets[0], &b, 1, 0); break;
        case 2: sleep(100); break;
        case 3: pthread_mutex_lock(&m); pthread_cond_wait(&c, &m); break;
        case 4: { struct epoll_event e; epoll_wait(ep, &e, 1, -1); break; }
        case 5: waitpid(-1, NULL, 0); sleep(100); break;
        case 6: for (;;) sched_yield();
    }
    return NULL;
}
static void* execs(void* p) {
    char** argv = p;
    execv("/proc/self/exe", argv);
    CHECK(!"exec failed");
    return NULL;
}
int main(int argc, char** argv) {
    int left = times(argc, argv, 5);
    if (left == 0) {
        struct pollfd q = {3, POLLIN, 0};
        CHECK(poll(&q, 1, 0) == 1 && q.revents == POLLNVAL);  // close-on-exec
        puts("ok");
        return 0;
    }
    CHECK(pipe2(pipe_fd, O_CLOEXEC) == 0 && pipe_fd[0] == 3);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, sockets[0], &e);
    for (long i = 0; i < 50; i++) start(parked, (void*)i);
    usleep(2000 * (unsigned)(left % 3));
    char next[16];
    snprintf(next, sizeof next, "%d", left - 1);
    char* again[] = {argv[0], next, NULL};
    if (left % 2) {
        start(execs, again);
        for (;;) pause();
    }
    execs(again);
    return 1;
}
