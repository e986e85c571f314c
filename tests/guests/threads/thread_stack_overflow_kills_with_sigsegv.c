// thread_stack_overflow_kills_with_sigsegv.c - a thread that runs over its guard page ends the process by SIGSEGV.
// TEST: status=SIGSEGV
#include "check.h"

static int recurse(int n) {
    volatile char frame[4096];
    frame[0] = n;
    return n < 0 ? 0 : recurse(n + 1) + frame[0];
}

static void* overflow(void* arg) {
    return (void*)(long)recurse(0);
}

int main(void) {
    say("before");
    finish(start(overflow, NULL));
    say("never");
}
