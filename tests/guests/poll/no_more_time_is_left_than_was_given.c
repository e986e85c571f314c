// ppoll(2) by its system call and pselect6(2) write back what is left of a limit: never more than was given.
#include <poll.h>
#include <sys/select.h>

#include "check.h"

static void* wait_for_ever(void* arg) {
    pause();
    return arg;
}

int main(void) {
    pthread_t other;
    CHECK_EQ(pthread_create(&other, NULL, wait_for_ever, NULL), 0);
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    for (int i = 0; i < 100000; i++) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        struct timespec t = {1, 0};
        CHECK_EQ(syscall(SYS_ppoll, &p, 1, &t, NULL, 8), 1);
        CHECK(t.tv_sec == 0 || (t.tv_sec == 1 && t.tv_nsec == 0));
        t = (struct timespec){1, 0};
        fd_set set;
        FD_ZERO(&set);
        FD_SET(fds[0], &set);
        CHECK_EQ(syscall(SYS_pselect6, fds[0] + 1, &set, NULL, NULL, &t, NULL), 1);
        CHECK(t.tv_sec == 0 || (t.tv_sec == 1 && t.tv_nsec == 0));
    }
    puts("never more");
    return 0;
}
