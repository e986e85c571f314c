// memory_maps_where_asked.c - MAP_FIXED, NOREPLACE, 32BIT, hints, mremap, mprotect, madvise, munmap of parts, big
// reservations.
// TEST: link=dynamic,nopie
#include "check.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

int main(void) {
    int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
    char* a = mmap(NULL, 64 << 20, PROT_NONE, anon | MAP_NORESERVE, -1, 0);
    CHECK(a != MAP_FAILED);
    char* b = mmap(a + (1 << 20), 8192, rw, anon | MAP_FIXED, -1, 0);
    CHECK(b == a + (1 << 20));
    strcpy(b, "fixed");
    CHECK(mmap(b, 4096, rw, anon | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
    CHECK_EQ(errno, EEXIST);
    CHECK_OK(munmap(a + (2 << 20), 4096));
    CHECK(mmap(a + (2 << 20), 4096, rw, anon | MAP_FIXED_NOREPLACE, -1, 0) == a + (2 << 20));
    for (int i = 0; i < 30; i++) {  // the low 2 GiB have room for more than the host
        char* low = mmap(NULL, 1 << 20, rw, anon | MAP_32BIT, -1, 0);
        CHECK(low != MAP_FAILED && (uintptr_t)low < 1ul << 31);
        memset(low, i, 1 << 20);
    }
    char* moved = mremap(b, 8192, 1 << 20, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && strcmp(moved, "fixed") == 0);
    char* target = mmap(NULL, 1 << 20, PROT_NONE, anon, -1, 0);
    CHECK(mremap(moved, 1 << 20, 1 << 20, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    CHECK(strcmp(target, "fixed") == 0);
    CHECK_OK(mprotect(target, 4096, PROT_READ));
    CHECK_OK(madvise(target, 4096, MADV_DONTNEED));
    CHECK_EQ(target[0], 0);
    char* huge = mmap(NULL, 1ul << 40, PROT_NONE, anon | MAP_NORESERVE, -1, 0);
    CHECK(huge != MAP_FAILED);
    CHECK_OK(munmap(huge, 1ul << 40));
    CHECK(mmap((void*)1, 4096, rw, anon | MAP_FIXED, -1, 0) == MAP_FAILED);
    CHECK_EQ(errno, EINVAL);
    CHECK(mmap(NULL, 0, rw, anon, -1, 0) == MAP_FAILED);
    CHECK_EQ(errno, EINVAL);
    unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov $42, %eax; ret
    char* x = mmap(NULL, 4096, rw, anon, -1, 0);
    memcpy(x, code, sizeof code);
    CHECK_OK(mprotect(x, 4096, PROT_READ | PROT_EXEC));
    CHECK_EQ(((int (*)(void))x)(), 42);
    unsigned char call[] = {0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0xc3};  // a fresh syscall site
    CHECK_OK(mprotect(x, 4096, rw));
    memcpy(x, call, sizeof call);
    CHECK_OK(mprotect(x, 4096, PROT_READ | PROT_EXEC));
    for (int i = 0; i < 100; i++) CHECK_EQ(((int (*)(void))x)(), getppid());
    say("ok");
}
