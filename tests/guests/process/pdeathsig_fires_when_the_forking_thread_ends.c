// pdeathsig_fires_when_the_forking_thread_ends.c - as prctl(2) says, it is the thread that counts.
// TEST: needs=thread_pdeathsig
#include <sys/prctl.h>

#include "check.h"

static int fds[2];

static void* fork_and_leave(void* arg) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        char c;
        if (arg) CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
        CHECK_EQ(write(fds[1], "x", 1), 1);
        if (arg) pause();
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
    pid_t bound = (pid_t)(long)finish(start(fork_and_leave, (void*)1));
    CHECK_EXIT(plain, 0);
    CHECK_KILLED(bound, SIGKILL);
    say("ok");
}
