// sendfile_to_a_pipe_waits_for_its_input.c - sendfile from an empty socket to a pipe with room waits for data in the socket.
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "check.h"

static int from[2], to[2];

static void* move(void* arg) {
    CHECK_EQ(sendfile(to[1], from[0], NULL, 100), 5);
    return arg;
}

int main(void) {
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, from));
    CHECK_OK(pipe(to));
    pthread_t t = start(move, NULL);
    settle();
    CHECK_EQ(write(from[1], "hello", 5), 5);
    finish(t);
    char text[8];
    CHECK_EQ(read(to[0], text, sizeof text), 5);
    say("%.5s", text);
}
