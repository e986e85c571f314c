// fallocate_is_whole_and_its_signal_the_callers.c - space for files while threads compute: no EINTR; SIGXFSZ comes to who called, before
// the call has returned, and only where the limit is the process's (fallocate(2), setrlimit(2))
#include "check.h"

enum { kRounds = 10, kBytes = 16 << 20, kLimit = 1 << 20 };
static volatile int over, signals;
static pthread_t caller;

static void* computes(void* unused) {
    while (!over) {
    }
    return unused;
}

static void handler(int sig) {
    signals++;
    CHECK(pthread_equal(pthread_self(), caller));
}

static void* allocates(void* unused) {
    caller = pthread_self();
    int file = open("space", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_OK(file);
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_FSIZE, &limit));
    struct rlimit little = {kLimit, limit.rlim_max};
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &little));
    CHECK_OK(fallocate(file, 0, 0, kLimit));
    CHECK_EQ(signals, 0);
    for (int i = 1; i <= 3; i++) {
        CHECK_ERR(fallocate(file, 0, 0, kLimit + i * 1000000), EFBIG);
        CHECK_EQ(signals, 2 * i - 1);
        CHECK_ERR(fallocate(file, 0, kLimit, 100), EFBIG);
        CHECK_EQ(signals, 2 * i);
    }
    CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
    CHECK_ERR(fallocate(file, 0, LONG_MAX - 4 * kLimit, 2 * kLimit), EFBIG);
    CHECK_EQ(signals, 6);
    CHECK_ERR(fallocate(file, 0, 0, 0), EINVAL);
    CHECK_ERR(fallocate(1000, 0, 0, kBytes), EBADF);
    close(file);
    return unused;
}

int main(void) {
    struct sigaction action = {.sa_handler = handler};
    CHECK_OK(sigaction(SIGXFSZ, &action, NULL));
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start(computes, NULL);
    int memory = (int)syscall(SYS_memfd_create, "space", 0);
    CHECK_OK(memory);
    for (int i = 0; i < kRounds; i++) {
        CHECK_OK(ftruncate(memory, 0));
        CHECK_OK(fallocate(memory, 0, 0, kBytes));
        CHECK_EQ(lseek(memory, 0, SEEK_END), kBytes);
        CHECK_OK(ftruncate(memory, 0));
        CHECK_0(posix_fallocate(memory, 0, 100000));
    }
    finish(start(allocates, NULL));
    over = 1;
    for (int i = 0; i < 2; i++) finish(t[i]);
    say("ok");
}
