// guest_may_install_its_own_filter.c - a seccomp filter of the program itself: ERRNO, TRAP with its own SIGSYS,
// KILL, on calls of all kinds.
// TEST: needs=guest-seccomp
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <ucontext.h>

#include "check.h"

static void install(int nr, unsigned action) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, f};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static volatile int traps;
static void trapped(int sig, siginfo_t* info, void* context) {
    CHECK_EQ(info->si_code, 1 /* SYS_SECCOMP */);
    CHECK_EQ(info->si_syscall, SYS_getppid);
    ((ucontext_t*)context)->uc_mcontext.gregs[REG_RAX] = 4711;
    traps++;
}

int main(void) {
    pid_t p = fork();
    if (p == 0) {
        install(SYS_getuid, SECCOMP_RET_ERRNO | 77);
        CHECK_ERR(syscall(SYS_getuid), 77);
        install(SYS_nanosleep, SECCOMP_RET_ERRNO | EPERM);  // a call that the runtime itself answers
        CHECK_ERR(syscall(SYS_nanosleep, &(struct timespec){0, 1}, NULL), EPERM);
        install(SYS_futex, SECCOMP_RET_ERRNO | EPERM);
        CHECK_ERR(syscall(SYS_futex, &traps, 1, 1), EPERM);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    p = fork();
    if (p == 0) {
        handle_info(SIGSYS, trapped, 0);
        install(SYS_getppid, SECCOMP_RET_TRAP | 9);
        CHECK_EQ(syscall(SYS_getppid), 4711);
        CHECK_EQ(traps, 1);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    p = fork();
    if (p == 0) {
        install(SYS_read, SECCOMP_RET_KILL_PROCESS);
        char c;
        syscall(SYS_read, 0, &c, 1);
        _exit(1);
    }
    CHECK_KILLED(p, SIGSYS);
    say("ok");
}
