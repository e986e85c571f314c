// clone3: CLONE_CLEAR_SIGHAND without CLONE_VM, structures longer than the kernel's with nothing behind, and its
// refusals.
#include <linux/sched.h>

#include "../check.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

static void nothing(int sig) {}

int main(void) {
    handle(SIGUSR1, nothing, 0);
    handle(SIGUSR2, SIG_IGN, 0);
    struct {
        struct clone_args a;
        char more[200];
    } q;
    memset(&q, 0, sizeof q);
    q.a.flags = CLONE_CLEAR_SIGHAND;
    q.a.exit_signal = SIGCHLD;
    const size_t sizes[] = {64, 80, 88, sizeof q};
    for (int i = 0; i < 4; i++) {
        pid_t p = syscall(SYS_clone3, &q, sizes[i]);
        CHECK_OK(p);
        if (!p) {
            struct sigaction a;
            CHECK_OK(sigaction(SIGUSR1, NULL, &a));
            CHECK(a.sa_handler == SIG_DFL);
            CHECK_OK(sigaction(SIGUSR2, NULL, &a));
            CHECK(a.sa_handler == SIG_IGN);
            _exit(getppid() > 1 ? 7 : 8);
        }
        CHECK_EXIT(p, 7);
    }
    q.more[199] = 1;
    CHECK_ERR(syscall(SYS_clone3, &q, sizeof q), E2BIG);
    CHECK_ERR(syscall(SYS_clone3, &q, 5000), E2BIG);
    CHECK_ERR(syscall(SYS_clone3, &q, 63), EINVAL);
    q.a.flags = 1ULL << 40;
    CHECK_ERR(syscall(SYS_clone3, &q, 88), EINVAL);
    q.a.flags = 0;
    q.a.exit_signal = 65;
    CHECK_ERR(syscall(SYS_clone3, &q, 88), EINVAL);
    // Signals still come after the refusals.
    CHECK_OK(raise(SIGUSR1));
    say("ok");
}
