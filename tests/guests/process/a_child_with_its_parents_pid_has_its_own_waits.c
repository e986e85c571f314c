// The first process of a pid namespace makes a child that is the first of another one: both have pid 1, and the child's threads wait for
// descriptors that threads of the parent wait for as well.
// TEST: needs=root
#include <sys/socket.h>

#include "check.h"

enum { kReaders = 8 };
static int two[2];

static void* reader(void* arg) {
    char c;
    CHECK_EQ(read(two[0], &c, 1), 1);
    return arg;
}

static long first_of_a_namespace(void) { return syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0); }

int main(void) {
    long outer = first_of_a_namespace();
    CHECK_OK(outer);
    if (!outer) {
        CHECK_EQ(getpid(), 1);
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, two));
        pthread_t t[kReaders];
        for (int i = 0; i < kReaders; i++) t[i] = start(reader, NULL);
        usleep(20000);
        long inner = first_of_a_namespace();
        CHECK_OK(inner);
        if (!inner) {
            CHECK_EQ(syscall(SYS_getpid), 1);
            for (int i = 0; i < kReaders; i++) start(reader, NULL);
            usleep(20000);
            int copy = dup(two[0]);
            CHECK_OK(close(two[0]));  // they keep what they wait for
            CHECK_OK(close(copy));
            CHECK_EQ(write(two[1], "xxx", 3), 3);
            _exit(5);
        }
        CHECK_EXIT((pid_t)inner, 5);
        CHECK_EQ(write(two[1], "xxxxxxxx", kReaders), kReaders);
        // Those of the child may have taken some before it ended.
        _exit(6);
    }
    CHECK_EXIT((pid_t)outer, 6);
    say("ok");
}
