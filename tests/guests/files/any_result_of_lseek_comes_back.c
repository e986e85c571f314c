// Offsets in a process's memory may look like errors, and like what a runtime says to itself: they come back as they are.
#include "check.h"

static void* wait_for_ever(void* arg) {
    pause();
    return arg;
}

int main(void) {
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, wait_for_ever, NULL), 0);
    int word = 0;
    for (int i = 0; i < 100; i++) syscall(SYS_futex, &word, 129 /* FUTEX_WAKE_PRIVATE */, 1, NULL, NULL, 0);  // a call site in frequent use
    int fd = open("/proc/self/mem", O_RDONLY);
    CHECK(fd >= 0);
    for (int i = 0; i < 4; i++) {
        errno = 0;
        CHECK(syscall(SYS_lseek, fd, LLONG_MIN + i, SEEK_SET) == LLONG_MIN + i && errno == 0);
    }
    puts("they do");
    return 0;
}
