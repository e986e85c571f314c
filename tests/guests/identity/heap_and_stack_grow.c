// heap_and_stack_grow.c - brk and sbrk up and down, [heap] in maps, 7 MiB of stack, the limit kills, malloc of all
// sizes.
// TEST: link=dynamic,static,musl
#include "check.h"

static long use_stack(int n) {
    volatile char frame[4096];
    for (int i = 0; i < 4096; i += 512) frame[i] = n;
    return n == 0 ? 0 : use_stack(n - 1) + (frame[512] == (char)n);
}

int main(void) {
    char* begin = (char*)syscall(SYS_brk, 0);
    CHECK_EQ((uintptr_t)syscall(SYS_brk, begin + (10 << 20)), (uintptr_t)begin + (10 << 20));
    memset(begin, 0x55, 10 << 20);
    CHECK_EQ((uintptr_t)syscall(SYS_brk, begin + 4096), (uintptr_t)begin + 4096);
    CHECK_EQ((uintptr_t)syscall(SYS_brk, begin + 8192), (uintptr_t)begin + 8192);
    uintptr_t page = ((uintptr_t)begin + 4096 + 4095) & ~4095ul;
    CHECK_EQ(*(char*)page, 0);                                                 // fresh again
    CHECK_EQ((uintptr_t)syscall(SYS_brk, (char*)1), (uintptr_t)begin + 8192);  // refused
    CHECK_EQ((uintptr_t)syscall(SYS_brk, begin), (uintptr_t)begin);
    for (size_t size = 1; size < (64 << 20); size *= 3) {
        char* m = malloc(size);
        m[0] = m[size - 1] = 1;
        free(m);
    }
    FILE* maps = fopen("/proc/self/maps", "r");
    char line[512];
    int heap = 0;
    uintptr_t from, to;
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[heap]")) heap = sscanf(line, "%lx-%lx", &from, &to) == 2 && from <= (uintptr_t)begin;
    say("heap in maps %d", heap);
    CHECK_EQ(use_stack(1750), 1750);
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_STACK, &limit));
    pid_t p = fork();
    if (p == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        limit.rlim_cur = 4 << 20;
        CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
        _exit(use_stack(1750) == 1750);
    }
    int status = status_of(p);
    say("limit of 4 MiB: signal %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}
