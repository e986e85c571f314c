// epoll_nests_and_shares.c - an epoll in an epoll in poll; many threads wait on one epoll and each event wakes
// exactly one.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "check.h"

enum { N = 20 };
static int shared;
static _Atomic int events_seen, quits;

static void* worker(void* arg) {
    for (;;) {
        struct epoll_event event;
        CHECK_EQ(epoll_wait(shared, &event, 1, -1), 1);
        if (event.data.fd == -1) {
            quits++;
            return NULL;
        }
        uint64_t n;
        CHECK_EQ(read(event.data.fd, &n, sizeof n), sizeof n);  // would block if two got the same event
        events_seen += n;
        struct epoll_event again = {.events = EPOLLIN | EPOLLET | EPOLLONESHOT, .data.fd = event.data.fd};
        CHECK_OK(epoll_ctl(shared, EPOLL_CTL_MOD, event.data.fd, &again));
    }
}

static int inner, outer, event_fd;

static void* wait_nested(void* arg) {
    struct epoll_event event;
    struct pollfd p = {outer, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(epoll_wait(outer, &event, 1, -1), 1);
    CHECK_EQ(event.data.fd, inner);
    CHECK_EQ(epoll_wait(inner, &event, 1, -1), 1);
    CHECK_EQ(event.data.fd, event_fd);
    return NULL;
}

int main(void) {
    CHECK_OK(inner = epoll_create1(0));
    CHECK_OK(outer = epoll_create1(0));
    CHECK_OK(event_fd = eventfd(0, 0));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = event_fd};
    CHECK_OK(epoll_ctl(inner, EPOLL_CTL_ADD, event_fd, &event));
    event.data.fd = inner;
    CHECK_OK(epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event));
    CHECK_ERR(epoll_ctl(inner, EPOLL_CTL_ADD, outer, &event), ELOOP);
    pthread_t t[N], nested = start(wait_nested, NULL);
    settle();
    CHECK_OK(eventfd_write(event_fd, 1));
    finish(nested);
    say("nested ok");

    CHECK_OK(shared = epoll_create1(0));
    int fds[5];
    for (int i = 0; i < 5; i++) {
        CHECK_OK(fds[i] = eventfd(0, 0));
        event = (struct epoll_event){.events = EPOLLIN | EPOLLET | EPOLLONESHOT, .data.fd = fds[i]};
        CHECK_OK(epoll_ctl(shared, EPOLL_CTL_ADD, fds[i], &event));
    }
    for (int i = 0; i < N; i++) t[i] = start(worker, NULL);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(eventfd_write(fds[i % 5], 1));
        if (i % 20 == 0) sleep_ms(1);
    }
    while (events_seen < 200) sleep_ms(1);
    int quit = eventfd(1, 0);
    event = (struct epoll_event){.events = EPOLLIN, .data.fd = -1};
    CHECK_OK(epoll_ctl(shared, EPOLL_CTL_ADD, quit, &event));  // added while they wait
    for (int i = 0; i < N; i++) finish(t[i]);
    say("events %d quits %d", events_seen, quits);
}
