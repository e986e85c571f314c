// clone(CLONE_FILES) without CLONE_VM: the child's threads wait for descriptors and end; the parent's waits go on.
#include "../check.h"

static int fds[2];

static void* reads(void* arg) {
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
    return NULL;
}

int main(void) {
    make_pipe(fds);
    pthread_t t = start(reads, NULL);
    settle();
    pid_t p = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    CHECK_OK(p);
    if (!p) {
        int own[2];
        make_pipe(own);
        fds[0] = own[0];
        pthread_t mine = start(reads, NULL);
        settle();
        CHECK_EQ(write(own[1], "x", 1), 1);
        finish(mine);
        close(own[0]);
        close(own[1]);
        _exit(5);
    }
    CHECK_EXIT(p, 5);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    finish(t);
    say("ok");
}
