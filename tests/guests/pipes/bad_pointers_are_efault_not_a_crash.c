// bad_pointers_are_efault_not_a_crash.c - every parking call with addresses that cannot be read or written.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "check.h"

static void* all(void* arg) {
    char* none = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char* high = (char*)0xffff800000000000;
    char* odd = (char*)0x800000000000;  // not canonical
    char* bad[] = {none, high, odd, (char*)1};
    int fds[2], pair[2];
    make_pipe(fds);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK_EQ(write(fds[1], "data", 4), 4);
    CHECK_EQ(write(pair[1], "data", 4), 4);
    for (int i = 0; i < 4; i++) {
        char* p = bad[i];
        CHECK_ERR(read(fds[0], p, 4), EFAULT);
        CHECK_ERR(write(fds[1], p, 4), EFAULT);
        CHECK_ERR(syscall(SYS_readv, fds[0], p, 1), EFAULT);
        CHECK_ERR(syscall(SYS_writev, fds[1], p, 1), EFAULT);
        CHECK_ERR(syscall(SYS_poll, p, 1, 1000), EFAULT);
        CHECK_ERR(syscall(SYS_ppoll, NULL, 0, p, NULL, 8), EFAULT);
        CHECK_ERR(syscall(SYS_select, 4, p, NULL, NULL, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_nanosleep, p, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_futex, p == (char*)1 ? NULL : p, 0, 0, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_recvmsg, pair[0], p, 0), EFAULT);
        CHECK_ERR(syscall(SYS_sendmsg, pair[0], p, 0), EFAULT);
        CHECK_ERR(syscall(SYS_openat, AT_FDCWD, p, 0), EFAULT);
        CHECK_ERR(syscall(SYS_execve, p, NULL, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, p, NULL, 8), EFAULT);
        CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, p, NULL, 8), EFAULT);
        CHECK_ERR(syscall(SYS_rt_sigtimedwait, p, NULL, NULL, 8), EFAULT);
        CHECK_ERR(syscall(SYS_rt_sigsuspend, p, 8), EFAULT);
        CHECK_ERR(syscall(SYS_sigaltstack, p, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_pipe, p), EFAULT);
        CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p), EFAULT);
        CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, p, 8), EFAULT);
    }
    struct iovec half[2] = {{(char[4]){0}, 2}, {none, 4}};
    ssize_t n = readv(fds[0], half, 2);
    CHECK(n == 2 || (n == -1 && errno == EFAULT));
    char* edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_OK(mprotect(edge + 4096, 4096, PROT_NONE));
    CHECK_EQ(recv(pair[0], edge + 4092, 4, 0), 4);  // up to the very edge
    CHECK_EQ(write(fds[1], edge + 4095, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(pair[i]);
    }
    munmap(none, 8192);
    munmap(edge, 8192);
    return NULL;
}

int main(void) {
    all(NULL);
    finish(start(all, NULL));
    say("ok");
}
