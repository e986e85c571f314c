// reads_at_a_common_position_are_whole.c - threads read records from one descriptor of a file of which only parts are in the page cache:
// each record comes in one piece.
#include "check.h"

enum { kRecord = 256 << 10, kRecords = 48, kThreads = 4 };

static int fd;
static _Atomic long bytes;

static void* read_records(void* arg) {
    unsigned* record = malloc(kRecord);
    for (long n; (n = read(fd, record, kRecord)) > 0; bytes += n) {
        CHECK_EQ(n, kRecord);
        for (long i = 1; i < kRecord / 4; i++) CHECK_EQ(record[i], record[0] + i);
    }
    free(record);
    return arg;
}

int main(void) {
    char name[] = "./records.XXXXXX";
    fd = mkstemp(name);
    CHECK_OK(fd);
    unlink(name);
    unsigned* record = malloc(kRecord);
    for (unsigned r = 0, k = 0; r < kRecords; r++) {
        for (int i = 0; i < kRecord / 4; i++) record[i] = k++;
        CHECK_EQ(write(fd, record, kRecord), kRecord);
    }
    CHECK_OK(fsync(fd));
    CHECK_0(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    CHECK_0(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM));
    for (int r = 0; r < kRecords; r++) CHECK_EQ(pread(fd, record, 1, (off_t)r * kRecord), 1);
    CHECK_OK(lseek(fd, 0, SEEK_SET));
    pthread_t t[kThreads];
    for (int i = 0; i < kThreads; i++) t[i] = start(read_records, NULL);
    for (int i = 0; i < kThreads; i++) finish(t[i]);
    say("%ld bytes", (long)bytes);
}
