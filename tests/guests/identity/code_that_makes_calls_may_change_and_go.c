// code_that_makes_calls_may_change_and_go.c - syscall sites in memory that is rewritten, unmapped, mapped anew, from
// a file or not.
#include "check.h"

// mov $nr, %eax; syscall; ret
static void write_stub(unsigned char* p, int nr) {
    unsigned char code[] = {0xb8, nr & 0xff, nr >> 8, 0, 0, 0x0f, 0x05, 0xc3};
    memcpy(p, code, sizeof code);
}

static void use(void* p, int nr) {
    long want = nr == SYS_getpid ? getpid() : nr == SYS_getppid ? getppid() : nr == SYS_getuid ? (long)getuid() : 0;
    for (int i = 0; i < 60; i++) CHECK_EQ(((int (*)(void))p)(), want);
}

int main(void) {
    int numbers[] = {SYS_getpid, SYS_getppid, SYS_getuid, SYS_sched_yield};
    unsigned char* where = NULL;
    for (int round = 0; round < 8; round++) {  // anonymous memory, writable all the time, at one address
        unsigned char* p = mmap(where, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
        CHECK(p != MAP_FAILED);
        where = p;
        for (int n = 0; n < 4; n++) {
            write_stub(p + 16, numbers[(n + round) % 4]);
            use(p + 16, numbers[(n + round) % 4]);
        }
        CHECK_OK(munmap(p, 4096));
    }
    for (int n = 0; n < 4; n++) {  // files, mapped over each other
        char name[16];
        unsigned char page[4096] = {0};
        snprintf(name, sizeof name, "code-%d", n);
        int fd = open(name, O_RDWR | O_CREAT, 0700);
        write_stub(page + 16, numbers[n]);
        CHECK_EQ(write(fd, page, sizeof page), sizeof page);
        unsigned char* p = mmap(where, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
        CHECK(p == where);
        close(fd);
        use(p + 16, numbers[n]);
        CHECK_OK(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
        write_stub(p + 16, SYS_getuid);
        use(p + 16, SYS_getuid);
        CHECK_OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
        use(p + 16, SYS_getuid);
        // what the program sees in its file and memory is what it wrote
        unsigned char seen[8], want[8];
        fd = open(name, O_RDONLY);
        CHECK_EQ(pread(fd, seen, 8, 16), 8);
        write_stub(want, numbers[n]);
        CHECK(memcmp(seen, want, 8) == 0);
        close(fd);
    }
    say("ok");
}
