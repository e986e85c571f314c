// a_child_does_not_keep_what_a_waiting_call_kept.c - a socket is closed while a thread waits to read from it, then the process forks: the
// other end sees the hang-up when that read is over.
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

static int s[2];
static sem_t there;

static void* read_one(void* arg) {
    char c;
    sem_post(&there);
    CHECK_EQ(read(s[0], &c, 1), 1);
    return arg;
}

int main(void) {
    int go[2], end[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CHECK_OK(pipe(go));
    CHECK_OK(pipe(end));
    pid_t peer = fork();
    CHECK_OK(peer);
    char c;
    if (peer == 0) {
        close(s[0]);
        CHECK_EQ(read(go[0], &c, 1), 1);
        CHECK_EQ(write(s[1], "x", 1), 1);
        struct pollfd p = {s[1], POLLIN, 0};
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(p.revents & POLLHUP);
        _exit(0);
    }
    close(s[1]);
    pthread_t t = start(read_one, NULL);
    CHECK_OK(sem_wait(&there));
    settle();
    close(s[0]);
    settle();
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        close(end[1]);
        _exit(read(end[0], &c, 1) != 0);
    }
    CHECK_EQ(write(go[1], "g", 1), 1);
    finish(t);
    CHECK_EXIT(peer, 0);
    close(end[1]);
    CHECK_EXIT(child, 0);
    say("ok");
}
