// epoll_level_and_edge_triggers_differ.c - level repeats, edge reports news only, one-shot needs re-arming.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "check.h"

static int e;

static int ready(void) {
    struct epoll_event events[8];
    return epoll_wait(e, events, 8, 0);
}

static void twice(const char* what) {
    int first = ready();
    say("%s %d %d", what, first, ready());
}

int main(void) {
    int fds[2];
    char c;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 5};
    make_pipe(fds);
    CHECK_OK(e = epoll_create1(0));
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event));
    CHECK_EQ(write(fds[1], "ab", 2), 2);
    twice("level");
    event.events = EPOLLIN | EPOLLET;
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event));
    twice("edge");
    CHECK_EQ(write(fds[1], "c", 1), 1);
    twice("news");
    CHECK_EQ(read(fds[0], &c, 1), 1);
    say("after a partial read %d", ready());
    event.events = EPOLLIN | EPOLLONESHOT;
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event));
    twice("one-shot");
    CHECK_EQ(write(fds[1], "d", 1), 1);
    say("still off %d", ready());
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event));
    twice("armed again");
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event), EEXIST);
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_DEL, fds[0], NULL));
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_DEL, fds[0], NULL), ENOENT);
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event), ENOENT);
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_ADD, e, &event), EINVAL);
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_ADD, 777, &event), EBADF);
    CHECK_ERR(epoll_ctl(777, EPOLL_CTL_ADD, fds[0], &event), EBADF);
    CHECK_ERR(epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event), EINVAL);
    CHECK_ERR(epoll_ctl(e, EPOLL_CTL_ADD, open("file", O_RDWR | O_CREAT, 0600), &event), EPERM);
    struct epoll_event one;
    CHECK_ERR(epoll_wait(e, &one, 0, 0), EINVAL);
    CHECK_ERR(epoll_wait(fds[0], &one, 1, 0), EINVAL);
    CHECK_ERR(epoll_wait(777, &one, 1, 0), EBADF);
    event.events = EPOLLIN;
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event));
    CHECK_ERR(epoll_wait(e, (void*)8, 1, 0), EFAULT);
    // a registration outlives close() while a duplicate lives
    int copy = dup(fds[0]);
    close(fds[0]);
    say("duplicate lives %d", ready());
    close(copy);
    say("all closed %d", ready());
    // hang-up comes unasked
    make_pipe(fds);
    event.events = 0;
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event));
    close(fds[1]);
    CHECK_EQ(epoll_wait(e, &one, 1, -1), 1);
    say("events %#x data %u", one.events, one.data.u32);
}
