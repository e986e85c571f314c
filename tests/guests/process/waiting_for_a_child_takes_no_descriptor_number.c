// While a thread waits for a child, open gives the number it would give otherwise, and closing a range of numbers
// neither ends the wait nor makes the wait close somebody's descriptor later.
#include "../check.h"

static pid_t child;

static void* waits(void* arg) {
    CHECK_KILLED(child, SIGKILL);
    return NULL;
}

int main(void) {
    int lowest = open("/dev/null", O_RDONLY);
    CHECK_OK(lowest);
    close(lowest);
    child = fork();
    if (!child)
        for (;;) pause();
    pthread_t t = start(waits, NULL);
    settle();
    int fd = open("/dev/null", O_RDONLY);
    CHECK_EQ(fd, lowest);
    CHECK_OK(close_range(lowest, 100, 0));
    fd = open("/proc/self/status", O_RDONLY);
    CHECK_EQ(fd, lowest);
    CHECK_OK(kill(child, SIGKILL));
    finish(t);
    char c;
    CHECK_EQ(read(fd, &c, 1), 1);
    say("ok");
}
