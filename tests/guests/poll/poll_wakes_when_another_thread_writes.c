// poll_wakes_when_another_thread_writes.c - 50 threads in poll, select, ppoll, epoll_wait, each on its own pipe,
// woken in turn.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "check.h"

enum { N = 50 };
static int fds[N][2];
static _Atomic int done;

static void* wait_for_byte(void* arg) {
    int fd = fds[(long)arg][0];
    char c;
    for (int round = 0; round < 5; round++) {
        struct pollfd p = {fd, POLLIN, 0};
        fd_set set;
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};
        switch ((long)arg % 4) {
            case 0:
                CHECK_EQ(poll(&p, 1, -1), 1);
                CHECK_EQ(p.revents, POLLIN);
                break;
            case 1:
                FD_ZERO(&set);
                FD_SET(fd, &set);
                CHECK_EQ(select(fd + 1, &set, NULL, NULL, NULL), 1);
                CHECK(FD_ISSET(fd, &set));
                break;
            case 2:
                CHECK_EQ(ppoll(&p, 1, &(struct timespec){100, 0}, NULL), 1);
                break;
            case 3: {
                int e = epoll_create1(EPOLL_CLOEXEC);
                CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event));
                CHECK_EQ(epoll_wait(e, &event, 1, -1), 1);
                CHECK_EQ(event.data.u64, 99);
                close(e);
            }
        }
        CHECK_EQ(read(fd, &c, 1), 1);
        CHECK_EQ(c, 'a' + round);
        done++;
    }
    return NULL;
}

int main(void) {
    pthread_t t[N];
    for (int i = 0; i < N; i++) make_pipe(fds[i]);
    for (long i = 0; i < N; i++) t[i] = start(wait_for_byte, (void*)i);
    for (int round = 0; round < 5; round++) {
        if (round % 2) settle();
        for (int i = 0; i < N; i++) {
            char c = 'a' + round;
            CHECK_EQ(write(fds[i][1], &c, 1), 1);
        }
        while (done < (round + 1) * N) sleep_ms(1);
    }
    for (int i = 0; i < N; i++) finish(t[i]);
    say("%d wakes", done);
}
