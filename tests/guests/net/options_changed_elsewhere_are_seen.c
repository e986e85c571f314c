// options_changed_elsewhere_are_seen.c - O_NONBLOCK and time-outs that another process or thread sets on a shared socket count
// for the next call, however often the socket was waited for before.
// TEST: link=dynamic,static
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"

static int pair[2];

static void* feed(void* arg) {
    for (int i = 0; i < 20; i++) {
        sleep_ms(2);
        CHECK_EQ(write(pair[1], "x", 1), 1);
    }
    return NULL;
}

static void wait_often(void) {
    pthread_t t = start(feed, NULL);
    char c;
    for (int i = 0; i < 20; i++) CHECK_EQ(read(pair[0], &c, 1), 1);
    finish(t);
}

static void in_child(void (*change)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        change();
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
}

static void nonblocking(void) { CHECK_EQ(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0); }
static void blocking(void) {
    int off = 0;
    CHECK_EQ(ioctl(pair[0], FIONBIO, &off), 0);
}
static void with_timeout(void) {
    struct timeval t = {0, 20000};
    CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
}
static void without_timeout(void) {
    struct timeval t = {0, 0};
    CHECK_EQ(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t), 0);
}
static void* in_thread(void* change) {
    int other = dup(pair[0]);
    ((void (*)(void))change)();
    close(other);
    return NULL;
}

int main(void) {
    char c;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    for (int round = 0; round < 2; round++) {
        void (*changes[4])(void) = {nonblocking, blocking, with_timeout, without_timeout};
        for (int i = 0; i < 4; i++) {
            wait_often();
            if (round)
                finish(start(in_thread, (void*)changes[i]));
            else
                in_child(changes[i]);
            if (i % 2 == 0) CHECK_ERR(read(pair[0], &c, 1), EAGAIN);
            if (i == 0) CHECK_EQ(fcntl(pair[0], F_SETFL, 0), 0);
            if (i == 2) without_timeout();
        }
    }
    wait_often();
    say("ok");
}
