// cancel_waits_while_it_is_disabled.c - a disabled cancellation is delivered at the first cancellation point after
// enabling.
#include "check.h"

static int fds[2];
static _Atomic int finished_read, enabled;

static void* work(void* arg) {
    int old;
    char c;
    CHECK_0(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
    CHECK_EQ(old, PTHREAD_CANCEL_ENABLE);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    finished_read = 1;
    CHECK_0(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old));
    CHECK_EQ(old, PTHREAD_CANCEL_DISABLE);
    enabled = 1;
    sleep(1000);
    return NULL;
}

int main(void) {
    make_pipe(fds);
    pthread_t t = start(work, NULL);
    settle();
    CHECK_0(pthread_cancel(t));
    settle();
    CHECK_EQ(finished_read, 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK(finish(t) == PTHREAD_CANCELED);
    CHECK_EQ(finished_read, 1);
    say("ok");
}
