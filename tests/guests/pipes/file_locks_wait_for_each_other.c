// file_locks_wait_for_each_other.c - flock, F_SETLKW and open-file-description locks block a thread, not the process.
#include <sys/file.h>

#include "check.h"

static _Atomic int got, refused;

static void until_refused(int all) {
    while (refused < all) sleep_ms(1);
    settle();
}

static void* lock_flock(void* arg) {
    int fd = open("file", O_RDWR);
    CHECK_ERR(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    refused++;
    CHECK_OK(flock(fd, LOCK_EX));
    got++;
    close(fd);
    return NULL;
}

static void* lock_ofd(void* arg) {
    int fd = open("file", O_RDWR);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    CHECK_ERR(fcntl(fd, F_OFD_SETLK, &l), EAGAIN);
    refused++;
    CHECK_OK(fcntl(fd, F_OFD_SETLKW, &l));
    got++;
    close(fd);
    return NULL;
}

int main(void) {
    int fd = open("file", O_RDWR | O_CREAT, 0600), other[2], back[2];
    char c;
    CHECK_OK(flock(fd, LOCK_EX));
    pthread_t t[5];
    for (int i = 0; i < 5; i++) t[i] = start(lock_flock, NULL);
    until_refused(5);
    CHECK_EQ(got, 0);
    CHECK_OK(flock(fd, LOCK_UN));
    for (int i = 0; i < 5; i++) finish(t[i]);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 15};
    CHECK_OK(fcntl(fd, F_OFD_SETLK, &l));
    for (int i = 0; i < 5; i++) t[i] = start(lock_ofd, NULL);
    until_refused(10);
    CHECK_EQ(got, 5);
    l.l_type = F_UNLCK;
    CHECK_OK(fcntl(fd, F_OFD_SETLK, &l));
    for (int i = 0; i < 5; i++) finish(t[i]);
    say("got %d", got);

    make_pipe(other);
    make_pipe(back);
    pid_t child = fork();
    CHECK_OK(child);
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (child == 0) {
        CHECK_OK(fcntl(fd, F_SETLKW, &l));
        CHECK_EQ(write(other[1], "x", 1), 1);
        CHECK_EQ(read(back[0], &c, 1), 1);
        settle();
        _exit(0);
    }
    CHECK_EQ(read(other[0], &c, 1), 1);
    CHECK_ERR(fcntl(fd, F_SETLK, &l), EAGAIN);
    struct flock query = l;
    CHECK_OK(fcntl(fd, F_GETLK, &query));
    CHECK_EQ(query.l_pid, child);
    handle(SIGALRM, ignore_signal_number, 0);
    struct itimerval soon = {{0, 0}, {0, 50000}};
    CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
    CHECK_ERR(fcntl(fd, F_SETLKW, &l), EINTR);
    CHECK_EQ(write(back[1], "x", 1), 1);
    CHECK_OK(fcntl(fd, F_SETLKW, &l));
    CHECK_EXIT(child, 0);
    say("ok");
}
