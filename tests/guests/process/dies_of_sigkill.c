// dies_of_sigkill.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGKILL
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    kill(getpid(), SIGKILL);
    say("never");
    return argc == 77;
}
