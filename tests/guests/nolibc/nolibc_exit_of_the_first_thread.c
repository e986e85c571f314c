// nolibc_exit_of_the_first_thread.c - the main thread ends by raw exit, a raw thread goes on and gives the exit code.
// TEST: link=nolibc status=23
#include "nolibc.h"

static void go_on(void* arg) {
    struct {
        long s, n;
    } t = {0, 50000000};
    sys(NR_nanosleep, &t, 0, 0);
    say("still here\n");
    sys(NR_exit_group, 23, 0, 0);
}

int guest_main(long argc, char** argv, char** envp) {
    static struct raw_thread t;
    raw_start(&t, go_on, 0);
    sys(NR_exit, 5, 0, 0);
    return 1;
}
