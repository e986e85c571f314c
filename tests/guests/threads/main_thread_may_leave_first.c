// main_thread_may_leave_first.c - after pthread_exit in main the process lives on; the last thread's exit ends it
// with 0.
// TEST: link=dynamic,static
#include "check.h"

static pthread_t main_thread;

static void* stay(void* arg) {
    CHECK_0(pthread_join(main_thread, NULL));
    say("main is gone");
    CHECK(getpid() != gettid());
    int fds[2];
    char c;
    make_pipe(fds);
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        CHECK_EQ(getpid(), gettid());
        CHECK_EQ(write(fds[1], "x", 1), 1);
        _exit(3);
    }
    CHECK_EQ(read(fds[0], &c, 1), 1);
    CHECK_EXIT(child, 3);
    say("the last one leaves");
    return NULL;
}

int main(void) {
    main_thread = pthread_self();
    atexit((void (*)(void))settle);
    start(stay, NULL);
    pthread_exit(NULL);
}
