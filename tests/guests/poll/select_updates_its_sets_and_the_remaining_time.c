// select_updates_its_sets_and_the_remaining_time.c - only ready bits stay; Linux writes back the time that is left.
#include <sys/select.h>

#include "check.h"

static int fds[2];

static void* write_later(void* arg) {
    sleep_ms(100);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    return NULL;
}

int main(void) {
    make_pipe(fds);
    fd_set r, w, x;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&x);
    FD_SET(fds[0], &r);
    FD_SET(fds[1], &w);
    FD_SET(fds[0], &x);
    CHECK_EQ(select(10, &r, &w, &x, NULL), 1);
    CHECK(!FD_ISSET(fds[0], &r) && FD_ISSET(fds[1], &w) && !FD_ISSET(fds[0], &x));
    struct timeval t = {100, 0};
    pthread_t writer = start(write_later, NULL);
    FD_SET(fds[0], &r);
    CHECK_EQ(select(10, &r, NULL, NULL, &t), 1);
    CHECK(FD_ISSET(fds[0], &r));
    CHECK((t.tv_sec == 99 && t.tv_usec <= 999999) || (t.tv_sec >= 70 && t.tv_sec < 99));
    finish(writer);
    t = (struct timeval){0, 50000};
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EQ(select(10, &r, NULL, NULL, &t), 0);
    CHECK(!FD_ISSET(fds[0], &r));
    CHECK(t.tv_sec == 0 && t.tv_usec == 0);
    struct timespec ts = {50, 0};  // the raw calls write it back too
    struct {
        const sigset_t* set;
        size_t size;
    } no_mask = {NULL, 8};
    FD_SET(fds[1], &w);
    CHECK_EQ(syscall(SYS_pselect6, 10, NULL, &w, NULL, &ts, &no_mask), 1);
    CHECK(ts.tv_sec == 49 || ts.tv_sec == 50);
    ts = (struct timespec){0, 40000000};
    CHECK_EQ(syscall(SYS_ppoll, NULL, 0, &ts, NULL, 8), 0);
    CHECK(ts.tv_sec == 0 && ts.tv_nsec == 0);
    CHECK_EQ(dup2(fds[1], 900), 900);  // a high descriptor
    FD_ZERO(&w);
    FD_SET(900, &w);
    CHECK_EQ(select(901, NULL, &w, NULL, NULL), 1);
    CHECK(FD_ISSET(900, &w));
    // errors: select looks at no number beyond the table of descriptors, which 900 has made large enough
    FD_ZERO(&r);
    FD_SET(77, &r);
    t = (struct timeval){0, 0};
    CHECK_ERR(select(78, &r, NULL, NULL, &t), EBADF);
    CHECK_ERR(select(-1, NULL, NULL, NULL, &t), EINVAL);
    t = (struct timeval){-1, 0};
    CHECK_ERR(select(0, NULL, NULL, NULL, &t), EINVAL);
    CHECK_ERR(select(4, (void*)8, NULL, NULL, NULL), EFAULT);
    say("ok");
}
