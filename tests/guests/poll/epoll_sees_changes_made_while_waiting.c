// epoll_sees_changes_made_while_waiting.c - a descriptor added, armed or written by another thread ends a running
// epoll_wait.
#include <sys/epoll.h>

#include "check.h"

static int e, fds[2];
static _Atomic int rounds;

static void* wait_one(void* arg) {
    struct epoll_event event;
    CHECK_EQ(epoll_wait(e, &event, 1, 60000), 1);
    CHECK_EQ(event.data.u32, (long)arg);
    rounds++;
    return NULL;
}

int main(void) {
    char c;
    CHECK_OK(e = epoll_create1(0));
    make_pipe(fds);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    pthread_t t = start(wait_one, (void*)1);
    settle();
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 1};
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event));
    finish(t);
    event = (struct epoll_event){.events = EPOLLOUT, .data.u32 = 2};  // never true for this end
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event));
    t = start(wait_one, (void*)2);
    settle();
    CHECK_EQ(rounds, 1);
    event.events = EPOLLIN;
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event));
    finish(t);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    t = start(wait_one, (void*)2);
    settle();
    CHECK_EQ(rounds, 2);
    CHECK_EQ(write(fds[1], "y", 1), 1);
    finish(t);
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_DEL, fds[0], &event));
    CHECK_EQ(epoll_wait(e, &event, 1, 50), 0);
    say("rounds %d", rounds);
}
