// no_strange_descriptor_answers.c - a program that tries every number finds only the descriptors it opened itself
#include "check.h"

enum { MOST = 5000 };

static int open_by_fcntl(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}
static int open_by_flags(int fd) {
    return fcntl(fd, F_GETFL) >= 0;
}
static int open_by_fstat(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0;
}
static int open_by_old_fstat(int fd) {
    struct stat st;
    return syscall(SYS_fstat, fd, &st) == 0;
}
static int open_by_statx(int fd) {
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) == 0;
}
static int open_by_dup(int fd) {
    int copy = dup(fd);
    if (copy >= 0) close(copy);
    return copy >= 0;
}

static void* idle(void* unused) {
    usleep(20000);
    return 0;
}

static void try_all(const char* when) {
    int (*const probes[])(int) = {open_by_fcntl,     open_by_flags, open_by_fstat,
                                  open_by_old_fstat, open_by_statx, open_by_dup};
    for (unsigned p = 0; p < sizeof probes / sizeof *probes; p++)
        for (int fd = 3; fd < MOST; fd++) {
            errno = 0;
            CHECK(!probes[p](fd));
            CHECK(errno == EBADF);
        }
    say("%s: nothing beyond standard error", when);
}

int main(void) {
    closefrom(3);
    try_all("alone");
    pthread_t thread;
    CHECK(pthread_create(&thread, 0, idle, 0) == 0);
    usleep(5000);
    try_all("with a second thread");
    CHECK(pthread_join(thread, 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        try_all("in a child");
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return 0;
}
