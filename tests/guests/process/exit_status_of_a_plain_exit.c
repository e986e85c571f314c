// exit_status_of_a_plain_exit.c - the code reaches the parent of ocrun; atexit handlers run, buffers are flushed.
// TEST: status=42 link=dynamic,static,musl
#include "check.h"

static void last(void) {
    printf("last\n");
}

int main(void) {
    atexit(last);
    printf("buffered\n");
    exit(42);
}
