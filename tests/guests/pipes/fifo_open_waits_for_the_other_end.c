// fifo_open_waits_for_the_other_end.c - opening a FIFO blocks one thread only; O_NONBLOCK: at once, or ENXIO.
#include "check.h"

static _Atomic int opened;

static void* open_reader(void* arg) {
    int fd = open("fifo", O_RDONLY);
    CHECK_OK(fd);
    opened++;
    char text[32] = {0};
    CHECK_EQ(read_all(fd, text, sizeof text), 5);
    CHECK(strcmp(text, "hello") == 0);
    close(fd);
    return NULL;
}

static void* open_writer(void* arg) {
    int fd = open("fifo", O_WRONLY);
    CHECK_OK(fd);
    opened++;
    CHECK_EQ(write(fd, "hello", 5), 5);
    close(fd);
    return NULL;
}

int main(void) {
    CHECK_OK(mkfifo("fifo", 0600));
    CHECK_ERR(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    int fd = open("fifo", O_RDONLY | O_NONBLOCK);
    CHECK_OK(fd);
    close(fd);
    pthread_t r = start(open_reader, NULL);
    settle();
    CHECK_EQ(opened, 0);
    finish(start(open_writer, NULL));
    finish(r);
    pthread_t w = start(open_writer, NULL);
    settle();
    CHECK_EQ(opened, 2);
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        open_reader(NULL);
        _exit(0);
    }
    finish(w);
    CHECK_EXIT(child, 0);
    say("opened %d", opened);
}
