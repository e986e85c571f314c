// splice_tee_and_sendfile_move_bytes.c - splice, tee, vmsplice, sendfile, copy_file_range between files, pipes and
// sockets.
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

enum { SIZE = 1 << 20 };
static char data[SIZE], back[SIZE];
static int pair[2], fds[2], file;

static void* drain(void* arg) {
    CHECK_EQ(read_all((int)(long)arg, back, SIZE), SIZE);
    CHECK(memcmp(back, data, SIZE) == 0);
    return NULL;
}

static void* splice_in(void* arg) {
    loff_t offset = 0;
    size_t moved = 0;
    while (moved < SIZE) {
        ssize_t n = splice(file, &offset, fds[1], NULL, SIZE - moved, 0);
        CHECK(n > 0);
        moved += n;
    }
    return NULL;
}

static void* splice_nothing(void* arg) {  // waits for data
    int other[2];
    char c;
    make_pipe(other);
    CHECK_EQ(splice(fds[0], NULL, other[1], NULL, 100, 0), 1);
    CHECK_EQ(read(other[0], &c, 1), 1);
    return NULL;
}

int main(void) {
    for (int i = 0; i < SIZE; i++) data[i] = i * 7 + (i >> 9);
    CHECK_OK(file = open("file", O_RDWR | O_CREAT, 0600));
    CHECK_EQ(write(file, data, SIZE), SIZE);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    make_pipe(fds);
    pthread_t t = start(drain, (void*)(long)pair[1]);
    off_t offset = 0;
    while (offset < SIZE) CHECK(sendfile(pair[0], file, &offset, SIZE) > 0);
    finish(t);
    say("sendfile to a socket");
    t = start(drain, (void*)(long)fds[0]);
    finish(start(splice_in, NULL));
    finish(t);
    say("splice into a pipe");
    t = start(splice_nothing, NULL);
    settle();
    CHECK_EQ(write(fds[1], "x", 1), 1);
    finish(t);
    CHECK_ERR(splice(fds[0], NULL, pair[0], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
    int two[2];
    make_pipe(two);
    CHECK_EQ(write(fds[1], "abc", 3), 3);
    CHECK_EQ(tee(fds[0], two[1], 10, 0), 3);
    CHECK_EQ(read(two[0], back, 10), 3);
    CHECK_EQ(read(fds[0], back, 10), 3);
    CHECK_EQ(vmsplice(fds[1], &(struct iovec){data, 100}, 1, 0), 100);
    CHECK_EQ(read(fds[0], back, 200), 100);
    int copy = open("copy", O_RDWR | O_CREAT, 0600);
    loff_t from = 0;
    while (from < SIZE) CHECK(copy_file_range(file, &from, copy, NULL, SIZE, 0) > 0);
    CHECK_EQ(pread(copy, back, SIZE, 0), SIZE);
    CHECK(memcmp(back, data, SIZE) == 0);
    say("ok");
}
