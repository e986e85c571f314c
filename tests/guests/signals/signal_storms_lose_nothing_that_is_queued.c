// signal_storms_lose_nothing_that_is_queued.c - 4 threads and a child send 2,000 queued signals while readers and
// sleepers work on.
#include "check.h"

static _Atomic int got, bytes;
static volatile int stop;
static int fds[2];
static void count(int sig) {
    got++;
}

static void* sender(void* arg) {
    for (int i = 0; i < 400; i++) {
        while (sigqueue(getpid(), SIGRTMIN + 2, (union sigval){0}) == -1) {
            CHECK_EQ(errno, EAGAIN);
            sleep_ms(1);
        }
        if (i % 50 == 0) sleep_ms(1);
    }
    return NULL;
}

static void* reader(void* arg) {
    char c;
    for (;;) {
        ssize_t n = read(fds[0], &c, 1);
        if (n == 0) return NULL;
        CHECK_EQ(n, 1);  // SA_RESTART: never EINTR
        bytes++;
    }
}

static void* writer(void* arg) {
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(write(fds[1], "x", 1), 1);
        if (i % 20 == 0) sleep_ms(1);
    }
    return NULL;
}

int main(void) {
    handle(SIGRTMIN + 2, count, SA_RESTART);
    make_pipe(fds);
    pthread_t s[4], r[4], w[4];
    for (int i = 0; i < 4; i++) {
        r[i] = start(reader, NULL);
        w[i] = start(writer, NULL);
        s[i] = start(sender, NULL);
    }
    pid_t parent = getpid(), p = fork();
    if (p == 0) {
        for (int i = 0; i < 400; i++)
            while (sigqueue(parent, SIGRTMIN + 2, (union sigval){0}) == -1) sleep_ms(1);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    for (int i = 0; i < 4; i++) finish(s[i]);
    for (int i = 0; i < 4; i++) finish(w[i]);
    while (got < 2000) sleep_ms(1);
    close(fds[1]);
    for (int i = 0; i < 4; i++) finish(r[i]);
    say("signals %d, bytes %d", got, bytes);
}
