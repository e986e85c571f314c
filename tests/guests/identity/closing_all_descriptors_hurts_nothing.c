// closing_all_descriptors_hurts_nothing.c - closefrom(3), close_range(3, ~0), loops over close, dup2 to high
// numbers; work goes on.
// TEST: link=dynamic,static
#include <linux/close_range.h>

#include "check.h"

static int fds[2];

static void* reader(void* arg) {
    char c;
    CHECK_EQ(read((int)(long)arg, &c, 1), 1);
    return NULL;
}

// threads, waits, forks, files: everything the runtime may need descriptors for
static void works(void) {
    pthread_t t[5];
    make_pipe(fds);
    CHECK_EQ(fds[0], 3);
    CHECK_EQ(fds[1], 4);
    for (int i = 0; i < 5; i++) t[i] = start(reader, (void*)(long)fds[0]);
    sleep_ms(5);
    CHECK_EQ(write(fds[1], "12345", 5), 5);
    for (int i = 0; i < 5; i++) finish(t[i]);
    pid_t p = fork();
    if (p == 0) {
        execl("/bin/sh", "sh", "-c", "exit 6", NULL);
        _exit(1);
    }
    CHECK_EXIT(p, 6);
}

int main(void) {
    works();
    closefrom(3);
    works();
    CHECK_OK(close_range(3, ~0u, 0));
    works();
    for (int i = 3; i < 20000; i++) close(i);
    works();
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 3; i < 20; i++) CHECK_EQ(dup2(1, limit.rlim_cur - i), (int)limit.rlim_cur - i);
    CHECK_ERR(dup2(1, limit.rlim_cur), EBADF);
    CHECK_ERR(fcntl(1, F_DUPFD, limit.rlim_cur), EINVAL);
    closefrom(3);
    works();
    closefrom(3);
    CHECK_EQ(dup(1), 3);
    CHECK_OK(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
    CHECK_EQ(fcntl(3, F_GETFD), FD_CLOEXEC);
    CHECK_OK(close(3));
    CHECK_OK(close_range(3, ~0u, CLOSE_RANGE_UNSHARE));
    works();
    CHECK_ERR(close_range(5, 4, 0), EINVAL);
    say("ok");
}
