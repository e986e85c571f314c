// shutdown_of_one_direction_ends_writes_that_wait.c - a write that waits on a full local socket ends with EPIPE when another thread ends its
// end's writing, or somebody the other end's reading, by whatever descriptor.
#include <sys/socket.h>

#include "check.h"

static int ends[2];

static void* fill(void* arg) {
    static char text[4096];
    int type = (int)(intptr_t)arg;
    for (;;) {
        ssize_t n = type == SOCK_STREAM ? write(ends[0], text, sizeof text) : send(ends[0], text, sizeof text, 0);
        if (n >= 0) continue;
        CHECK_EQ(errno, EPIPE);
        return NULL;
    }
}

enum { kOwn, kDuplicate, kPeers, kPeersElsewhere };

static void end(int how) {
    if (how == kOwn) CHECK_OK(shutdown(ends[0], SHUT_WR));
    if (how == kDuplicate) CHECK_OK(shutdown(dup(ends[0]), SHUT_WR));
    if (how == kPeers) CHECK_OK(shutdown(ends[1], SHUT_RD));
    if (how == kPeersElsewhere) {
        pid_t child = fork();
        CHECK_OK(child);
        if (!child) {
            CHECK_OK(shutdown(ends[1], SHUT_RD));
            _exit(0);
        }
        CHECK_EXIT(child, 0);
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (int type = 0; type < 2; type++)
        for (int how = kOwn; how <= kPeersElsewhere; how++) {
            CHECK_OK(socketpair(AF_UNIX, types[type], 0, ends));
            pthread_t writer = start(fill, (void*)(intptr_t)types[type]);
            settle();
            end(how);
            finish(writer);
            CHECK_OK(close(ends[0]));
            CHECK_OK(close(ends[1]));
        }
    say("ok");
}
