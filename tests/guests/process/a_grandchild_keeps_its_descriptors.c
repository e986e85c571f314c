// a_grandchild_keeps_its_descriptors.c - threads of a process wait for a descriptor, those of its child for one that is closed meanwhile; the
// grandchild has all descriptors that its parent had.
#include "check.h"

enum { kThreads = 100, kPipes = 20 };
static int fds[kPipes][2];

static void* read_one(void* arg) {
    char c;
    CHECK_EQ(read((int)(long)arg, &c, 1), 1);
    return NULL;
}
static void* pauses(void* arg) {
    for (;;) pause();
    return arg;
}

int main(void) {
    CHECK_EQ(fcntl(0, F_GETFD), 0);
    for (int i = 0; i < kPipes; i++) CHECK_OK(pipe(fds[i]));
    for (int i = 0; i < kThreads; i++) start(pauses, NULL);
    for (int i = 1; i < kPipes; i++) start(read_one, (void*)(long)fds[i][0]);
    settle();
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        pthread_t t = start(read_one, (void*)(long)fds[0][0]);
        settle();
        close(fds[0][0]);
        settle();
        pid_t grandchild = fork();
        CHECK_OK(grandchild);
        if (grandchild == 0) {
            CHECK_OK(fcntl(0, F_GETFD));
            for (int i = 1; i < kPipes; i++) CHECK_OK(fcntl(fds[i][0], F_GETFD));
            _exit(0);
        }
        CHECK_EXIT(grandchild, 0);
        CHECK_EQ(write(fds[0][1], "x", 1), 1);
        finish(t);
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    say("ok");
}
