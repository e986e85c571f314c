// timerfd_counts_expirations.c - one-shot, periodic, absolute, disarmed, non-blocking; read blocks until it expires.
#include <poll.h>
#include <sys/timerfd.h>

#include "check.h"

static void* reader(void* arg) {
    int fd = (long)arg;
    uint64_t n, total = 0;
    while (total < 5) {
        CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
        CHECK(n >= 1);
        total += n;
    }
    return NULL;
}

int main(void) {
    uint64_t n;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    CHECK_OK(fd);
    struct itimerspec once = {{0, 0}, {0, 50000000}}, periodic = {{0, 10000000}, {0, 10000000}},
                      off = {{0, 0}, {0, 0}}, now;
    long long begin = now_ns();
    CHECK_OK(timerfd_settime(fd, 0, &once, NULL));
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    CHECK_EQ(n, 1);
    CHECK(now_ns() - begin >= ms(49) && now_ns() - begin < ms(10000));
    CHECK_OK(timerfd_settime(fd, 0, &periodic, NULL));
    sleep_ms(100);
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    CHECK(n >= 9);
    finish(start(reader, (void*)(long)fd));
    CHECK_OK(timerfd_gettime(fd, &now));
    CHECK_EQ(now.it_interval.tv_nsec, 10000000);
    CHECK_OK(timerfd_settime(fd, 0, &off, &now));
    CHECK_EQ(now.it_interval.tv_nsec, 10000000);
    struct pollfd p = {fd, POLLIN, 0};
    CHECK_EQ(poll(&p, 1, 30), 0);
    once.it_value = deadline_in(CLOCK_MONOTONIC, ms(50));
    CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &once, NULL));
    CHECK_EQ(poll(&p, 1, 10000), 1);
    CHECK_EQ(p.revents, POLLIN);
    CHECK_ERR(read(fd, &n, 4), EINVAL);
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    close(fd);
    fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    CHECK_ERR(read(fd, &n, sizeof n), EAGAIN);
    once.it_value = deadline_in(CLOCK_REALTIME, ms(40));
    CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &once, NULL));
    p.fd = fd;
    CHECK_EQ(poll(&p, 1, 10000), 1);
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    CHECK_ERR(read(fd, &n, sizeof n), EAGAIN);
    say("ok");
}
