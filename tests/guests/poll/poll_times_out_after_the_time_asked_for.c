// poll_times_out_after_the_time_asked_for.c - poll, ppoll, select, pselect, epoll_wait: milliseconds are
// milliseconds.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "check.h"

static int fds[2];

#define TAKES_100_MS(call)                        \
    do {                                          \
        long long begin = now_ns();               \
        CHECK_EQ(call, 0);                        \
        long long took = now_ns() - begin;        \
        CHECK(took >= ms(99) && took < ms(8000)); \
    } while (0)

static void* all(void* arg) {
    struct pollfd p = {fds[0], POLLIN, 0};
    fd_set set;
    struct timeval tv = {0, 100000};
    struct timespec ts = {0, 100000000}, zero = {0, 0};
    int e = epoll_create1(0);
    struct epoll_event event;
    TAKES_100_MS(poll(&p, 1, 100));
    TAKES_100_MS(poll(NULL, 0, 100));
    TAKES_100_MS(ppoll(&p, 1, &ts, NULL));
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    TAKES_100_MS(select(fds[0] + 1, &set, NULL, NULL, &tv));
    CHECK(!FD_ISSET(fds[0], &set));
    FD_SET(fds[0], &set);
    TAKES_100_MS(pselect(fds[0] + 1, &set, NULL, NULL, &ts, NULL));
    CHECK_EQ(ts.tv_nsec, 100000000);  // the library's pselect and ppoll leave the time-out alone
    tv = (struct timeval){0, 100000};
    TAKES_100_MS(select(0, NULL, NULL, NULL, &tv));
    TAKES_100_MS(epoll_wait(e, &event, 1, 100));
    TAKES_100_MS(epoll_pwait2(e, &event, 1, &ts, NULL));
    CHECK_EQ(poll(&p, 1, 0), 0);
    CHECK_EQ(ppoll(&p, 1, &zero, NULL), 0);
    tv = (struct timeval){0, 0};
    FD_SET(fds[0], &set);
    CHECK_EQ(select(fds[0] + 1, &set, NULL, NULL, &tv), 0);
    CHECK_EQ(epoll_wait(e, &event, 1, 0), 0);
    close(e);
    return NULL;
}

int main(void) {
    make_pipe(fds);
    all(NULL);
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    say("ok");
}
