// signals_end_no_offloaded_call.c - a policy sends calls that never wait to helper threads: a signal that comes on their way is handled
// first, and no call ends with EINTR.
// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/identity/offloaded_calls.json"
#include "../check.h"

static int done;

static void nothing(int sig) { (void)sig; }

static void* calls(void* arg) {
    (void)arg;
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_OK(fd);
    for (int i = 0; i < 4000; i++) {
        CHECK_EQ(pwrite(fd, "hello", 5, 0), 5);
        char text[5];
        CHECK_EQ(pread(fd, text, 5, 0), 5);
        CHECK_EQ(write(fd, "hello", 5), 5);
        CHECK_OK(getppid());
        int again = open("file", O_RDONLY);
        CHECK_OK(again);
        CHECK_0(close(again));
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, nothing, 0);
    pthread_t t = start(calls, NULL);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        CHECK_0(pthread_kill(t, SIGUSR1));
        usleep(100);
    }
    finish(t);
    say("ok");
}
