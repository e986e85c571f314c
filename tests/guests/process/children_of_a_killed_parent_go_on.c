// children_of_a_killed_parent_go_on.c - killing a process does not hurt its children, its pipe ends close at once.
#include <sys/prctl.h>

#include "check.h"

int main(void) {
    int up[2], hold[2];
    char c;
    make_pipe(up);
    make_pipe(hold);
    CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t p = fork();
    if (p == 0) {
        close(hold[0]);
        if (fork() == 0) {
            close(hold[1]);
            pid_t parent = getppid();
            CHECK_EQ(write(up[1], "s", 1), 1);
            while (getppid() == parent) sleep_ms(1);
            CHECK_EQ(write(up[1], "e", 1), 1);
            _exit(4);
        }
        for (;;) pause();
    }
    close(hold[1]);
    CHECK_EQ(read(up[0], &c, 1), 1);
    CHECK_OK(kill(p, SIGKILL));
    CHECK_EQ(read(hold[0], &c, 1), 0);
    CHECK_KILLED(p, SIGKILL);
    CHECK_EQ(read(up[0], &c, 1), 1);
    CHECK_EQ(c, 'e');
    int status;
    CHECK(wait(&status) > 0);
    CHECK_EQ(WEXITSTATUS(status), 4);
    say("ok");
}
