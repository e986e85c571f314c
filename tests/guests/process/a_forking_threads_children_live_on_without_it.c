// a_forking_threads_children_live_on_without_it.c - the end of the thread that forked means nothing to its child.
#include "check.h"

static int fds[2];

static void* fork_and_leave(void* arg) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        char c;
        CHECK_EQ(write(fds[1], "x", 1), 1);
        sleep_ms(60);
        _exit(read(fds[0], &c, 0));
    }
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    return (void*)(long)p;
}

int main(void) {
    make_pipe(fds);
    pid_t plain = (pid_t)(long)finish(start(fork_and_leave, NULL));
    CHECK_EXIT(plain, 0);
    say("ok");
}
