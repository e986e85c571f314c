// thread_local_and_errno_belong_to_the_thread.c - 500 threads keep their own errno and thread_local data across
// waits.
// TEST: link=dynamic,static,static-pie,nopie,musl
#include "check.h"

static __thread long mine = 7;
static __thread char block_of_mine[3000];
static __thread int zero;

static void* keep(void* arg) {
    long id = (long)arg;
    CHECK_EQ(mine, 7);
    CHECK_EQ(zero, 0);
    mine = id;
    memset(block_of_mine, id & 0xff, sizeof block_of_mine);
    for (int i = 0; i < 5; i++) {
        errno = id;
        sched_yield();
        CHECK_EQ(errno, id);
        struct timespec t = {0, 1000000};
        CHECK_0(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
        CHECK_EQ(errno, id);
        CHECK_EQ(mine, id);
        CHECK_EQ(close(-1), -1);
        CHECK_EQ(errno, EBADF);
    }
    for (size_t i = 0; i < sizeof block_of_mine; i++) CHECK_EQ((unsigned char)block_of_mine[i], id & 0xff);
    return &mine;
}

int main(void) {
    enum { N = 500 };
    static pthread_t t[N];
    errno = 77;
    for (long i = 0; i < N; i++) t[i] = start(keep, (void*)(i + 1));
    for (int i = 0; i < N; i++) CHECK(finish(t[i]) != &mine);
    CHECK_EQ(mine, 7);
    say("errno of main %d", errno);
}
