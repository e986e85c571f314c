// dies_of_sigsegv.c - the death by this signal reaches the parent of ocrun.
// TEST: status=SIGSEGV
#include "check.h"

int main(int argc, char** argv) {
    say("before");
    *(volatile int*)(argc - 1L) = 1;
    say("never");
    return argc == 77;
}
