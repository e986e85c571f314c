// sa_restart_restarts_and_its_absence_is_eintr.c - read, write, recv, accept, wait, futex-free waits, with and
// without SA_RESTART.
// TEST: link=dynamic,static timeout=40
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"

static int fds[2], full[2], pair[2], listener, locked, other_lock;
static pid_t child;
static struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
static _Atomic int handled, stage;
static char c;

static void count(int sig) {
    handled++;
}

static long call(int which) {
    int status;
    siginfo_t info;
    switch (which) {
        case 0:
            return read(fds[0], &c, 1);
        case 1:
            return write(full[1], &c, 1);
        case 2:
            return recv(pair[0], &c, 1, 0);
        case 3:
            return accept(listener, NULL, NULL) >= 0 ? 1 : -1;
        case 4:
            return waitpid(child, &status, 0) == child ? 1 : -1;
        case 5:
            return waitid(P_PID, child, &info, WEXITED) == 0 ? 1 : -1;
        case 6:
            return flock(locked, LOCK_EX) == 0 ? 1 : -1;
        case 7:
            return open("fifo", O_RDONLY) >= 0 ? 1 : -1;
    }
    return -2;
}
enum { CALLS = 8 };

static void finish_call(int which) {
    static char block[65536];
    switch (which) {
        case 0:
            CHECK_EQ(write(fds[1], "x", 1), 1);
            break;
        case 1:
            CHECK(read(full[0], block, sizeof block) > 0);
            break;
        case 2:
            CHECK_EQ(write(pair[1], "x", 1), 1);
            break;
        case 3:
            CHECK_OK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, sizeof address));
            break;
        case 4:
        case 5:
            CHECK_OK(kill(child, SIGKILL));
            break;
        case 6:
            CHECK_OK(flock(other_lock, LOCK_UN));
            break;
        case 7:
            CHECK_OK(open("fifo", O_WRONLY));
            break;
    }
}

static void prepare(int which) {
    if (which == 1) {
        fcntl(full[1], F_SETFL, O_NONBLOCK);
        while (write(full[1], &c, 1) == 1) {
        }
        fcntl(full[1], F_SETFL, 0);
    }
    if (which == 4 || which == 5) {
        CHECK_OK(child = fork());
        if (child == 0)
            for (;;) pause();
    }
    if (which == 6) {
        locked = open("lock", O_RDWR | O_CREAT, 0600);
        other_lock = open("lock", O_RDWR);
        CHECK_OK(flock(other_lock, LOCK_EX));
    }
}

static void* interrupted(void* which) {
    CHECK_ERR(call((int)(long)which), EINTR);
    stage = 1;
    while (stage == 1) sleep_ms(1);
    return NULL;
}

static void* restarted(void* which) {
    CHECK_EQ(call((int)(long)which), 1);
    stage = 1;
    while (stage == 1) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct pester p;
    make_pipe(fds);
    make_pipe(full);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK_OK(listener = socket(AF_UNIX, SOCK_STREAM, 0));
    CHECK_OK(bind(listener, (struct sockaddr*)&address, sizeof address));
    CHECK_OK(listen(listener, 3));
    CHECK_OK(mkfifo("fifo", 0600));
    static const char* names[] = {"read", "write", "recv", "accept", "waitpid", "waitid", "flock", "open of a FIFO"};
    for (long i = 0; i < CALLS; i++) {
        prepare(i);
        stage = 0;
        handle(SIGUSR1, count, 0);
        pthread_t t = start(interrupted, (void*)i);
        pester_start(&p, t, SIGUSR1);
        while (!stage) sleep_ms(1);
        pester_stop(&p);
        stage = 2;
        finish(t);

        stage = 0;
        handled = 0;
        handle(SIGUSR1, count, SA_RESTART);
        t = start(restarted, (void*)i);
        pester_start(&p, t, SIGUSR1);
        while (handled < 5) sleep_ms(1);
        CHECK_EQ(stage, 0);
        finish_call(i);
        while (!stage) sleep_ms(1);
        pester_stop(&p);
        stage = 2;
        finish(t);
        say("%s: EINTR without, restarted with SA_RESTART", names[i]);
    }
}
