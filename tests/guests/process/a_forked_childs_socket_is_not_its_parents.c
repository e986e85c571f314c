// a_forked_childs_socket_is_not_its_parents.c - a number that was a blocking socket in the parent is a non-blocking one in the child.
#include <sys/socket.h>

#include "check.h"

static int s[2];

static void* receive(void* arg) {
    char c;
    CHECK_EQ(recv(s[0], &c, 1, 0), 1);
    return arg;
}
static void* pauses(void* arg) {
    for (;;) pause();
    return arg;
}

int main(void) {
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    pthread_t t = start(receive, NULL);
    settle();
    CHECK_EQ(write(s[1], "x", 1), 1);
    finish(t);
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        int old = s[0];
        close(old);
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
        CHECK_EQ(s[0], old);
        start(pauses, NULL);
        char c;
        CHECK_ERR(recv(old, &c, 1, 0), EAGAIN);
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    say("ok");
}
