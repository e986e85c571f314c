// writing_without_a_reader_raises_sigpipe.c - EPIPE and SIGPIPE to the writing thread, also when the reader goes
// meanwhile.
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static __thread int hits;
static void hit(int sig) {
    hits++;
}
static int fds[2];
static char big[1 << 20];

static void* one_thread(void* arg) {
    int pair[2];
    make_pipe(fds);
    close(fds[0]);
    CHECK_ERR(write(fds[1], "x", 1), EPIPE);
    CHECK_EQ(hits, 1);
    CHECK_ERR(writev(fds[1], &(struct iovec){big, 10}, 1), EPIPE);
    CHECK_EQ(hits, 2);
    close(fds[1]);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    close(pair[0]);
    CHECK_ERR(write(pair[1], "x", 1), EPIPE);
    CHECK_EQ(hits, 3);
    CHECK_ERR(send(pair[1], "x", 1, 0), EPIPE);
    CHECK_EQ(hits, 4);
    CHECK_ERR(send(pair[1], "x", 1, MSG_NOSIGNAL), EPIPE);
    CHECK_EQ(hits, 4);
    close(pair[1]);
    return NULL;
}

static void* blocked_writer(void* arg) {
    ssize_t n = write(fds[1], big, sizeof big);  // the reader takes 100,000 bytes and closes
    CHECK(n > 0 && n < (ssize_t)sizeof big);
    CHECK(hits <= 1);
    return (void*)n;
}

int main(void) {
    handle(SIGPIPE, hit, 0);
    one_thread(NULL);
    finish(start(one_thread, NULL));
    make_pipe(fds);
    pthread_t t = start(blocked_writer, NULL);
    settle();
    static char in[100000];
    CHECK_EQ(read_all(fds[0], in, sizeof in), sizeof in);
    settle();
    close(fds[0]);
    finish(t);
    signal(SIGPIPE, SIG_IGN);
    CHECK_ERR(write(fds[1], "x", 1), EPIPE);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        write(fds[1], "x", 1);
        _exit(1);
    }
    CHECK_KILLED(child, SIGPIPE);
    say("ok");
}
