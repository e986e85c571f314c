// file.c - tasks write and read files of their own at the same time
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "example.h"

static void* writes_and_reads(void* number) {
    char name[64], bytes[4096], back[4096];
    snprintf(name, sizeof name, "example-file-%d-%ld", getpid(), (long)number);
    int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    MUST(fd >= 0);
    MUST(unlink(name) == 0);
    long sum = 0;
    for (int block = 0; block < 16; block++) {
        memset(bytes, (int)((long)number + block) & 0x7f, sizeof bytes);
        MUST(pwrite(fd, bytes, sizeof bytes, block * (long)sizeof bytes) == sizeof bytes);
    }
    MUST(fsync(fd) == 0);
    for (int block = 0; block < 16; block++) {
        MUST(pread(fd, back, sizeof back, block * (long)sizeof back) == sizeof back);
        sum += back[100];
    }
    struct stat s;
    MUST(fstat(fd, &s) == 0 && s.st_size == 16 * 4096);
    close(fd);
    return (void*)sum;
}

int main(void) {
    start();
    enum { N = 20 };
    oc_task* tasks[N];
    for (long i = 0; i < N; i++) tasks[i] = oc_task_create(writes_and_reads, (void*)i, 0);
    for (long i = 0; i < N; i++) MUST((long)join(tasks[i]) == 16 * i + 120);
    finish();
}
