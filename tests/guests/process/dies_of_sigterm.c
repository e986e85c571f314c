// dies_of_sigterm.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGTERM
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    kill(getpid(), SIGTERM);
    say("never");
    return argc == 77;
}
