// protected_buffers_are_read_and_written.c - calls read and write memory under a protection key that the calling thread has opened, alone
// and beside another thread, before and after waiting. (Without protection keys there is nothing to see.)
#include "check.h"

static int to[2], back[2];

static void* answer(void* arg) {
    for (int i = 0; i < 40; i++) {
        char b[4];
        usleep(500);
        CHECK_EQ(write(to[1], "abcd", 4), 4);
        CHECK_EQ(read(back[0], b, 4), 4);
    }
    return arg;
}

static void call_with(char* b) {
    int zero = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < 30; i++) {
        CHECK_EQ(read(zero, b, 16), 16);
        struct timespec* t = (struct timespec*)b;
        t->tv_nsec = 1;
        CHECK_OK(syscall(SYS_nanosleep, t, NULL));
        CHECK_OK(syscall(SYS_getcwd, b, 4096));
    }
    close(zero);
}

int main(void) {
    int key = pkey_alloc(0, 0);
    char* b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(b != MAP_FAILED);
    if (key >= 0) CHECK_OK(pkey_mprotect(b, 4096, PROT_READ | PROT_WRITE, key));
    CHECK_OK(pipe(to));
    CHECK_OK(pipe(back));
    call_with(b);
    pthread_t t = start(answer, NULL);
    for (int i = 0; i < 40; i++) {
        CHECK_EQ(read(to[0], b, 4), 4);
        CHECK_EQ(write(back[1], b, 4), 4);
    }
    call_with(b);
    finish(t);
    say("ok");
}
