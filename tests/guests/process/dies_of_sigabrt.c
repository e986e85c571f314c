// dies_of_sigabrt.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGABRT
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    abort();
    say("never");
    return argc == 77;
}
