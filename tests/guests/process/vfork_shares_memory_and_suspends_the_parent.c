// vfork_shares_memory_and_suspends_the_parent.c - what the child writes the parent sees; other threads run on
// meanwhile.
#include "check.h"

static volatile int written, counter, stop;

static void* run_on(void* arg) {
    while (!stop) {
        counter++;
        sleep_ms(1);
    }
    return NULL;
}

static void* do_vfork(void* arg) {
    char path[4096] = {0};
    CHECK_OK(readlink("/proc/self/exe", path, sizeof path - 1));
    for (int i = 0; i < 5; i++) {
        written = 0;
        volatile int error = 0;
        pid_t p = vfork();
        if (p == 0) {
            written = getpid() != getppid();
            if (i == 0) _exit(9);
            if (i == 1) {
                execl("/does/not/exist", "x", NULL);
                error = errno;
                _exit(10);
            }
            struct timespec t = {0, 20000000};
            nanosleep(&t, NULL);
            execl(path, path, "child", NULL);
            _exit(127);
        }
        CHECK_OK(p);
        CHECK_EQ(written, 1);
        if (i == 1) CHECK_EQ(error, ENOENT);
        CHECK_EXIT(p, i == 0 ? 9 : i == 1 ? 10 : 11);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc == 2) return 11;
    pthread_t t = start(run_on, NULL);
    do_vfork(NULL);
    finish(start(do_vfork, NULL));
    int before = counter;
    while (counter == before) sleep_ms(1);
    stop = 1;
    finish(t);
    say("ok");
}
