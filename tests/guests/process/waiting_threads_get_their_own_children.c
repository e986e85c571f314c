// waiting_threads_get_their_own_children.c - 20 threads in waitpid at once; a thread may wait for another thread's
// child.
#include "check.h"

static int gate[2];

static void* wait_for(void* arg) {
    return (void*)(long)status_of((pid_t)(long)arg);
}

static pid_t make_child(int code) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        char c;
        close(gate[1]);
        CHECK_EQ(read(gate[0], &c, 1), 0);
        _exit(code);
    }
    return p;
}

static void* make_child_thread(void* arg) {
    return (void*)(long)make_child((int)(long)arg);
}

int main(void) {
    pthread_t t[20];
    make_pipe(gate);
    for (int i = 0; i < 20; i++) {
        pid_t p = (pid_t)(long)finish(start(make_child_thread, (void*)(long)i));
        t[i] = start(wait_for, (void*)(long)p);
    }
    settle();
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
    close(gate[1]);
    for (int i = 0; i < 20; i++) {
        int status = (int)(long)finish(t[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i);
    }
    CHECK_ERR(wait(NULL), ECHILD);
    say("ok");
}
