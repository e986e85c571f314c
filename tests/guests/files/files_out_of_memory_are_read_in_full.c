// files_out_of_memory_are_read_in_full.c - eight threads read and sync files that were dropped from the page cache: every
// byte is right, a shared position is moved by each read once.
#include <sys/uio.h>

#include "check.h"

enum { kFiles = 4, kBytes = 1 << 20, kRounds = 6 };
static int shared_fd, direct[kFiles];
static unsigned char seen[kBytes / 4096];

static unsigned char byte_at(int file, long at) {
    return (unsigned char)(at * 31 + at / 4096 + file);
}

static void drop(int fd) {
    CHECK_OK(fdatasync(fd));
    CHECK_0(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
}

static void* reads_by_position(void* arg) {
    int file = (int)(long)arg % kFiles;
    unsigned char* buffer = malloc(kBytes + 1);
    for (int round = 0; round < kRounds; round++) {
        drop(direct[file]);
        CHECK_EQ(pread(direct[file], buffer, kBytes + 1, 0), kBytes);
        for (long i = 0; i < kBytes; i++)
            if (buffer[i] != byte_at(file, i)) check_failed(__FILE_NAME__, __LINE__, "byte %ld of file %d", i, file);
        drop(direct[file]);
        struct iovec v[2] = {{buffer, 5000}, {buffer + 5000, 70000}};
        CHECK_EQ(preadv(direct[file], v, 2, 12345), 75000);
        for (long i = 0; i < 75000; i++) CHECK(buffer[i] == byte_at(file, 12345 + i));
        CHECK_EQ(pread(direct[file], buffer, 100, kBytes - 10), 10);
        CHECK_EQ(pread(direct[file], buffer, 100, kBytes + 10), 0);
        CHECK_ERR(pread(direct[file], (void*)8, 100, 0), EFAULT);
        CHECK_OK(fsync(direct[file]));
    }
    free(buffer);
    return NULL;
}

// The pages come to all readers together, each exactly once.
static void* reads_in_turn(void* arg) {
    unsigned char page[4096];
    for (;;) {
        posix_fadvise(shared_fd, 0, 0, POSIX_FADV_DONTNEED);
        ssize_t n = read(shared_fd, page, sizeof page);
        if (n == 0) return NULL;
        CHECK_EQ(n, 4096);
        unsigned char number;
        memcpy(&number, page, 1);
        CHECK(page[4095] == (unsigned char)(number + 1));
        __atomic_add_fetch(&seen[number], 1, __ATOMIC_RELAXED);
    }
}

int main(void) {
    for (int f = 0; f < kFiles; f++) {
        char name[] = "data0";
        name[4] = '0' + f;
        direct[f] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        CHECK_OK(direct[f]);
        unsigned char* all = malloc(kBytes);
        for (long i = 0; i < kBytes; i++) all[i] = byte_at(f, i);
        CHECK_EQ(write(direct[f], all, kBytes), kBytes);
        free(all);
    }
    shared_fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < kBytes / 4096; i++) {
        unsigned char page[4096] = {(unsigned char)i};
        page[4095] = (unsigned char)(i + 1);
        CHECK_EQ(write(shared_fd, page, sizeof page), sizeof page);
    }
    drop(shared_fd);
    CHECK_EQ(lseek(shared_fd, 0, SEEK_SET), 0);
    pthread_t t[16];
    for (int i = 0; i < 8; i++) t[i] = start(reads_by_position, (void*)(long)i);
    for (int i = 8; i < 16; i++) t[i] = start(reads_in_turn, NULL);
    for (int i = 0; i < 16; i++) finish(t[i]);
    for (int i = 0; i < kBytes / 4096; i++) CHECK_EQ(seen[i], 1);
    CHECK_ERR(fsync(1000), EBADF);
    say("ok");
}
