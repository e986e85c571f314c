// epoll_fd_is_inherited_over_fork.c - parent and child wait on the same epoll; an eventfd made by one wakes the
// other.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "check.h"

int main(void) {
    int e = epoll_create1(0), to_child = eventfd(0, 0), to_parent = eventfd(0, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = to_child};
    CHECK_OK(epoll_ctl(e, EPOLL_CTL_ADD, to_child, &event));
    pid_t child = fork();
    CHECK_OK(child);
    uint64_t n;
    if (child == 0) {
        CHECK_EQ(epoll_wait(e, &event, 1, -1), 1);
        CHECK_EQ(event.data.fd, to_child);
        CHECK_EQ(read(to_child, &n, sizeof n), sizeof n);
        CHECK_EQ(n, 41);
        CHECK_OK(eventfd_write(to_parent, n + 1));
        _exit(0);
    }
    settle();
    CHECK_OK(eventfd_write(to_child, 41));
    CHECK_EQ(read(to_parent, &n, sizeof n), sizeof n);
    say("%d", (int)n);
    CHECK_EXIT(child, 0);
}
