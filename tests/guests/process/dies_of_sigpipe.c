// dies_of_sigpipe.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGPIPE
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    int fds[2];
    make_pipe(fds);
    close(fds[0]);
    write(fds[1], "x", 1);
    say("never");
    return argc == 77;
}
