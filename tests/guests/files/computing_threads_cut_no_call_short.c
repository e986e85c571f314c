// computing_threads_cut_no_call_short.c - calls that any signal ends early are whole while other threads compute: nobody sends one
#include "check.h"

#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum { kBytes = 4 << 20, kCopy = 200000, kEntries = 3000, kRounds = 60 };
static volatile int over;
static char* buffer;

static void* computes(void* unused) {
    while (!over) {
    }
    return unused;
}

static void random_bytes(void) {
    enum { kRandom = 1 << 20 };
    memset(buffer, 0, kRandom);
    CHECK_EQ(getrandom(buffer, kRandom, 0), kRandom);
    int last = 0;  // of 64 bytes at the end some are not 0
    for (int i = kRandom - 64; i < kRandom; i++) last |= buffer[i];
    CHECK(last);
    int fd = open("/dev/urandom", O_RDONLY);
    CHECK_OK(fd);
    CHECK_EQ(read(fd, buffer, kRandom), kRandom);
    close(fd);
}

static void zeros(void) {
    int fd = open("/dev/zero", O_RDONLY);
    CHECK_OK(fd);
    memset(buffer, 1, kBytes);
    CHECK_EQ(read(fd, buffer, kBytes), kBytes);
    for (int i = 0; i < kBytes; i++) CHECK(!buffer[i]);
    memset(buffer, 1, kBytes);
    struct iovec parts[2] = {{buffer, kBytes / 3}, {buffer + kBytes / 3, kBytes - kBytes / 3}};
    CHECK_EQ(readv(fd, parts, 2), kBytes);
    for (int i = 0; i < kBytes; i++) CHECK(!buffer[i]);
    CHECK_EQ(pread(fd, buffer, kBytes, 5), kBytes);
    close(fd);
}

static void copies(int from, int to) {
    // the whole, at given positions, beyond the end, at the files' own positions
    off_t in = 0, out = 0;
    CHECK_EQ(copy_file_range(from, &in, to, &out, kCopy, 0), kCopy);
    CHECK_EQ(in, kCopy);
    CHECK_EQ(out, kCopy);
    in = kCopy / 2;
    CHECK_EQ(copy_file_range(from, &in, to, &out, kCopy, 0), kCopy / 2);
    CHECK_EQ(out, kCopy + kCopy / 2);
    CHECK_EQ(copy_file_range(from, &in, to, &out, kCopy, 0), 0);
    CHECK_EQ(lseek(from, 0, SEEK_SET), 0);
    CHECK_EQ(lseek(to, 0, SEEK_SET), 0);
    CHECK_EQ(copy_file_range(from, NULL, to, NULL, kCopy, 0), kCopy);
    CHECK_EQ(lseek(to, 0, SEEK_CUR), kCopy);
    in = 0;
    CHECK_EQ(lseek(to, 0, SEEK_SET), 0);
    CHECK_EQ(sendfile(to, from, &in, kCopy), kCopy);
}

static int listing(int directory) {
    CHECK_EQ(lseek(directory, 0, SEEK_SET), 0);
    return (int)syscall(SYS_getdents64, directory, buffer, kBytes);
}

int main(void) {
    buffer = malloc(kBytes);
    int from = open("from", O_RDWR | O_CREAT | O_TRUNC, 0600), to = open("to", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_OK(from);
    CHECK_OK(to);
    memset(buffer, 'x', kCopy);
    CHECK_EQ(write(from, buffer, kCopy), kCopy);
    CHECK_OK(mkdir("many", 0700));
    int directory = open("many", O_RDONLY | O_DIRECTORY);
    CHECK_OK(directory);
    for (int i = 0; i < kEntries; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        int fd = openat(directory, name, O_CREAT | O_WRONLY, 0600);
        CHECK_OK(fd);
        close(fd);
    }
    int whole = listing(directory);
    CHECK(whole > kEntries * 24);
    pthread_t t[2];
    for (int i = 0; i < 2; i++) t[i] = start(computes, NULL);
    for (int round = 0; round < kRounds; round++) {
        random_bytes();
        if (round % 4 == 0) zeros();
        copies(from, to);
        CHECK_EQ(listing(directory), whole);
    }
    over = 1;
    for (int i = 0; i < 2; i++) finish(t[i]);
    say("ok");
}
