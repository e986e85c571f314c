// a_nonblocking_socket_begins_to_wait.c - calls on a socket with O_NONBLOCK answer at once, however often; once the flag is gone, by
// this thread, another one, another process or another descriptor, they wait. SIGPIPE comes all the same.
// TEST: link=dynamic,static
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "check.h"

static int near, far;
static volatile int pipes;

static void on_pipe(int sig) { pipes++; }

static void answers_at_once(void) {
    char c;
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    for (int i = 0; i < 5; i++) {
        CHECK_ERR(read(near, &c, 1), EAGAIN);
        CHECK_ERR(readv(near, &v, 1), EAGAIN);
        CHECK_ERR(recv(near, &c, 1, 0), EAGAIN);
        CHECK_ERR(recvmsg(near, &m, MSG_WAITALL), EAGAIN);
        CHECK_EQ(write(near, "a", 1), 1);
        CHECK_EQ(writev(near, &v, 1), 1);
        CHECK_EQ(send(near, "b", 1, 0), 1);
        CHECK_EQ(sendmsg(near, &m, 0), 1);
        char out[4];
        CHECK_EQ(recv(far, out, 4, MSG_WAITALL), 4);
        CHECK_EQ(send(far, "x", 1, 0), 1);
        CHECK_EQ(read(near, &c, 1), 1);
    }
}

static void* feed(void* arg) {
    for (int i = 0; i < 4; i++) {
        sleep_ms(5);
        CHECK_EQ(write(far, "xy", 2), 2);
    }
    return NULL;
}

static void waits(void) {
    pthread_t t = start(feed, NULL);
    char c[2];
    struct iovec v = {c, 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    CHECK_EQ(read(near, c, 2), 2);
    CHECK_EQ(readv(near, &v, 1), 2);
    CHECK_EQ(recv(near, c, 2, 0), 2);
    CHECK_EQ(recvmsg(near, &m, 0), 2);
    finish(t);
}

static void set(int fd, int on) { CHECK_EQ(fcntl(fd, F_SETFL, on ? O_NONBLOCK : 0), 0); }

static void* clear(void* arg) {
    int off = 0, other = dup(near);
    CHECK_EQ(ioctl(other, FIONBIO, &off), 0);
    close(other);
    return NULL;
}

static void* rest(void* arg) { return arg; }

static void fills_up(void) {
    static char block[65536];
    long sent = 0, got = 0, n;
    set(near, 1);
    answers_at_once();
    while ((n = write(near, block, sizeof block)) > 0) sent += n;
    CHECK_EQ(errno, EAGAIN);
    while (got < sent) {
        CHECK((n = read(far, block, sizeof block)) > 0);
        got += n;
    }
    CHECK_EQ(got, sent);
}

static void all_ways(void) {
    for (int round = 0; round < 3; round++) {
        set(near, 1);
        answers_at_once();
        set(near, 0);
        waits();
        set(near, 1);
        answers_at_once();
        finish(start(clear, NULL));
        waits();
        set(near, 1);
        answers_at_once();
        pid_t pid = fork();
        if (pid == 0) {
            set(near, 0);
            _exit(0);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        waits();
    }
    fills_up();
    close(far);
    char c;
    CHECK_EQ(read(near, &c, 1), 0);
    int before = pipes;
    while (write(near, "z", 1) == 1) {}  // TCP: the answer to the first one is a reset
    CHECK(errno == EPIPE || errno == ECONNRESET);
    CHECK_ERR(send(near, "z", 1, 0), EPIPE);
    CHECK(pipes > before);
    close(near);
}

int main(void) {
    handle(SIGPIPE, on_pipe, 0);
    finish(start(rest, NULL));
    int pair[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    near = pair[0], far = pair[1];
    all_ways();

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_OK(bind(listener, (struct sockaddr*)&at, size));
    CHECK_OK(listen(listener, 8));
    CHECK_OK(getsockname(listener, (struct sockaddr*)&at, &size));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(far = socket(AF_INET, SOCK_STREAM, 0));
        CHECK_OK(connect(far, (struct sockaddr*)&at, size));
        CHECK_OK(near = accept4(listener, NULL, NULL, i ? SOCK_NONBLOCK : 0));
        if (!i) set(near, 1);
        answers_at_once();
        set(near, 0);
        waits();
        all_ways();
        // The number means another socket, one that waits.
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        near = pair[0], far = pair[1];
        waits();
        close(near);
        close(far);
    }
    say("ok");
}
