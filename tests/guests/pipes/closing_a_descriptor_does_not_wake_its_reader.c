// closing_a_descriptor_does_not_wake_its_reader.c - as on Linux: the blocked read keeps the pipe and still gets its
// bytes.
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "check.h"

static _Atomic int about_to_read, returned;

static void* reader(void* arg) {
    char c[8] = {0};
    about_to_read++;
    ssize_t n = read((int)(long)arg, c, 8);
    CHECK(n == 1 || n == 8);
    CHECK_EQ(c[0], n == 1 ? 'k' : 7);
    returned++;
    return NULL;
}

int main(void) {
    int fds[2], pair[2], event = eventfd(0, 0), event_copy = dup(event);
    make_pipe(fds);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pthread_t a = start(reader, (void*)(long)fds[0]), b = start(reader, (void*)(long)pair[0]);
    pthread_t c = start(reader, (void*)(long)event);
    while (about_to_read < 3) sleep_ms(1);
    sleep_ms(150);
    CHECK_OK(close(fds[0]));
    CHECK_OK(close(event));
    int reused = open("/dev/null", O_RDONLY);  // takes the number of the pipe's end
    CHECK_EQ(reused, event < fds[0] ? event : fds[0]);
    sleep_ms(100);
    CHECK_EQ(returned, 0);
    CHECK_EQ(write(fds[1], "k", 1), 1);
    CHECK_OK(eventfd_write(event_copy, 7));
    finish(a);
    finish(c);
    CHECK_EQ(write(pair[1], "k", 1), 1);
    finish(b);
    say("returned %d", returned);
}
