// dies_of_sigint.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGINT
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    kill(getpid(), SIGINT);
    say("never");
    return argc == 77;
}
