// shared_descriptions_never_become_nonblocking.c - while threads wait on a pipe, socket and stdin, a child sees
// O_NONBLOCK off.
#include <sys/socket.h>

#include "check.h"

static int fds[2], pair[2];

static void* reader(void* arg) {
    char c;
    CHECK_EQ(read((int)(long)arg, &c, 1), 1);
    return NULL;
}

static void check_flags(void) {
    int all[] = {0, 1, 2, fds[0], fds[1], pair[0], pair[1]};
    for (int i = 0; i < 7; i++) CHECK_EQ(fcntl(all[i], F_GETFL) & O_NONBLOCK, 0);
}

int main(void) {
    make_pipe(fds);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pthread_t t[4];
    for (int i = 0; i < 4; i++) t[i] = start(reader, (void*)(long)(i % 2 ? fds[0] : pair[0]));
    for (int i = 0; i < 20; i++) {
        check_flags();
        sleep_ms(2);
    }
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            check_flags();
            sleep_ms(2);
        }
        char c;
        CHECK_EQ(read(fds[0], &c, 1), 1);  // a reader among the readers
        _exit(0);
    }
    settle();
    CHECK_EQ(write(fds[1], "xyz", 3), 3);
    CHECK_EQ(write(pair[1], "xy", 2), 2);
    for (int i = 0; i < 4; i++) finish(t[i]);
    CHECK_EXIT(child, 0);
    check_flags();
    say("ok");
}
