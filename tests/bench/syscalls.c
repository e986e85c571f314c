// syscalls.c - what one call costs: unhooked, hooked and answered at once, through a pipe, a file.
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>

#include "bench.h"

static int fds[2], file;
static char block[4096];

static void getppid_calls(long n) {
    while (n--) syscall(SYS_getppid);
}
static void gettid_calls(long n) {
    while (n--) syscall(SYS_gettid);
}
static void yield_calls(long n) {
    while (n--) syscall(SYS_sched_yield);
}
static void pipe_byte(long n) {
    char c = 0;
    while (n--) must(write(fds[1], &c, 1) == 1 && read(fds[0], &c, 1) == 1, "pipe");
}
static void pread_4k(long n) {
    while (n--) must(pread(file, block, sizeof block, 0) == sizeof block, "pread");
}
static void poll_ready(long n) {
    struct pollfd p = {fds[1], POLLOUT, 0};
    while (n--) must(poll(&p, 1, -1) == 1, "poll");
}

int main(void) {
    must(pipe(fds) == 0, "pipe");
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (file == -1) file = open("/proc/self/exe", O_RDONLY);
    if (write(file, block, sizeof block) != sizeof block) lseek(file, 0, SEEK_SET);
    result("getppid", per_call(getppid_calls), "ns");
    result("gettid", per_call(gettid_calls), "ns");
    result("sched_yield", per_call(yield_calls), "ns");
    result("pipe_write_read", per_call(pipe_byte), "ns");
    result("pread_4k", per_call(pread_4k), "ns");
    result("poll_ready", per_call(poll_ready), "ns");
    return 0;
}
