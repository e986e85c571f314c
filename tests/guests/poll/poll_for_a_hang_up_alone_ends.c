// poll_for_a_hang_up_alone_ends.c - poll without events waits for the other end's hang-up, also on a socket that got messages while
// nobody waited.
#include <poll.h>
#include <sys/socket.h>

#include "check.h"

static void* pauses(void* arg) {
    for (;;) pause();
    return arg;
}

static void other_end(int s, int go) {
    char c = 'x';
    for (int i = 0; i < 20; i++) {
        sleep_ms(4);
        CHECK_EQ(write(s, &c, 1), 1);
    }
    sleep_ms(10);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(write(s, "q", 1), 1);
        CHECK_EQ(read(go, &c, 1), 1);
        sleep_ms(40);
    }
    _exit(0);
}

int main(void) {
    int s[2], go[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CHECK_OK(pipe(go));
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        close(s[0]);
        close(go[1]);
        other_end(s[1], go[0]);
    }
    close(s[1]);
    close(go[0]);
    start(pauses, NULL);
    struct pollfd p = {s[0], POLLIN, 0};
    CHECK_EQ(poll(&p, 1, -1), 1);
    char c = 0;
    sleep_ms(120);
    while (c != 'q') CHECK_EQ(recv(s[0], &c, 1, 0), 1);
    CHECK_EQ(write(go[1], "g", 1), 1);
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK_EQ(recv(s[0], &c, 1, 0), 1);
    CHECK_EQ(write(go[1], "g", 1), 1);
    p.events = 0;
    CHECK_EQ(poll(&p, 1, -1), 1);
    CHECK(p.revents & POLLHUP);
    CHECK_EXIT(child, 0);
    say("ok");
}
