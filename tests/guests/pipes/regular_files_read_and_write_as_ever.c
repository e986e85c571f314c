// regular_files_read_and_write_as_ever.c - read, write, positions, O_APPEND, vectors, truncation, sync, mmap; 50
// threads.
#include <sys/uio.h>

#include "check.h"

static int append;

static void* work(void* arg) {
    char name[32], text[64], back[200];
    snprintf(name, sizeof name, "file-%ld", (long)arg);
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
    CHECK_OK(fd);
    CHECK_ERR(open(name, O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
    for (int i = 0; i < 100; i++) CHECK_EQ(write(fd, &i, sizeof i), sizeof i);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 400);
    CHECK_EQ(pread(fd, back, sizeof back, 300), 100);
    CHECK_EQ(((int*)back)[0], 75);
    CHECK_EQ(pwrite(fd, "abcd", 4, 1000), 4);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 1004);
    struct iovec v[2] = {{back, 3}, {back + 3, 5}};
    CHECK_EQ(preadv(fd, v, 2, 998), 6);
    CHECK(memcmp(back, "\0\0abcd", 6) == 0);
    CHECK_EQ(preadv2(fd, v, 2, 0, 0), 8);
    CHECK_EQ(pwritev2(fd, v, 2, 2000, RWF_SYNC), 8);
    CHECK_EQ(read(fd, back, 10), 10);
    CHECK_OK(ftruncate(fd, 10));
    CHECK_EQ(read(fd, back, 10), 0);
    CHECK_OK(fsync(fd));
    CHECK_OK(fdatasync(fd));
    CHECK_OK(fallocate(fd, 0, 0, 8192));
    struct stat st;
    CHECK_OK(fstat(fd, &st));
    CHECK_EQ(st.st_size, 8192);
    char* map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(map + 4096, "mapped");
    CHECK_EQ(pread(fd, back, 6, 4096), 6);
    CHECK(memcmp(back, "mapped", 6) == 0);
    munmap(map, 8192);
    close(fd);
    CHECK_OK(rename(name, strcat(strcpy(text, name), ".new")));
    CHECK_OK(unlink(text));
    CHECK_ERR(open(text, O_RDONLY), ENOENT);
    for (int i = 0; i < 20; i++) {
        int n = snprintf(text, sizeof text, "line %02ld %02d\n", (long)arg, i);
        CHECK_EQ(write(append, text, n), n);
    }
    return NULL;
}

int main(void) {
    pthread_t t[50];
    CHECK_OK(append = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
    for (long i = 0; i < 50; i++) t[i] = start(work, (void*)i);
    for (int i = 0; i < 50; i++) finish(t[i]);
    struct stat st;
    CHECK_OK(stat("log", &st));
    CHECK_EQ(st.st_size, 50 * 20 * 11);
    CHECK_ERR(read(append, &st, 1), EBADF);
    CHECK_ERR(write(append, (void*)8, 1), EFAULT);
    CHECK_ERR(read(999, &st, 1), EBADF);
    CHECK_ERR(lseek(append, -1, SEEK_SET), EINVAL);
    say("ok");
}
