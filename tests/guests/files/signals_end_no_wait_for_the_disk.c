// signals_end_no_wait_for_the_disk.c - reads that miss the page cache and syncs are complete whatever signals come meanwhile: no EINTR,
// no short count.
#include <sys/uio.h>

#include "check.h"

enum { kPages = 64, kRounds = 120 };
static unsigned char want[kPages * 4096], got[kPages * 4096];
static int fd, done;

static void nothing(int sig) { (void)sig; }

static void* reads(void* arg) {
    (void)arg;
    for (int i = 0; i < kRounds; i++) {
        size_t at = (size_t)(i * 7 % kPages) * 4096;
        CHECK_EQ(pwrite(fd, want + at, 4096, (off_t)at), 4096);
        CHECK_0(i % 2 ? fdatasync(fd) : fsync(fd));
        CHECK_0(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
        memset(got, 0, sizeof got);
        if (i % 3 == 0) {
            CHECK_EQ(pread(fd, got + at, 4096, (off_t)at), 4096);
            CHECK(memcmp(got + at, want + at, 4096) == 0);
            continue;
        }
        // The first page only is in memory, the others are not.
        CHECK_EQ(pread(fd, got, 4096, 0), 4096);
        if (i % 3 == 1) {
            CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
            CHECK_EQ(read(fd, got, sizeof got), sizeof got);
            CHECK_EQ(lseek(fd, 0, SEEK_CUR), sizeof got);
        } else {
            struct iovec v[2] = {{got, 6000}, {got + 6000, sizeof got - 6000}};
            CHECK_EQ(preadv(fd, v, 2, 0), sizeof got);
        }
        CHECK(memcmp(got, want, sizeof got) == 0);
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

int main(void) {
    for (size_t i = 0; i < sizeof want; i++) want[i] = (unsigned char)(i * 31 + i / 4096);
    fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_OK(fd);
    CHECK_EQ(write(fd, want, sizeof want), sizeof want);
    handle(SIGUSR1, nothing, 0);
    pthread_t t = start(reads, NULL);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        CHECK_0(pthread_kill(t, SIGUSR1));
        usleep(300);
    }
    finish(t);
    say("ok");
}
