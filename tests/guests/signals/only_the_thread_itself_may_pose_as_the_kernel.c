// only_the_thread_itself_may_pose_as_the_kernel.c - a code that says "from the kernel" or "from kill" may be queued by a thread to itself,
// and by no thread to another one. And flags that futex(2) and futex_waitv(2) do not know are refused.
#include <linux/futex.h>

#include "check.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static int word;

static long queue_to(pid_t tid, int code) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = code;
    return tid ? syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGUSR1, &info) : syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info);
}

static void on_signal(int sig) {}

static void* another(void* arg) {
    CHECK_ERR(queue_to(getpid(), SI_USER), EPERM);
    CHECK_ERR(queue_to(getpid(), SI_TKILL), EPERM);
    CHECK_ERR(queue_to(getpid(), SI_KERNEL), EPERM);
    CHECK_ERR(queue_to(0, SI_USER), EPERM);
    CHECK_OK(queue_to(getpid(), SI_QUEUE));
    CHECK_OK(queue_to(0, SI_QUEUE));
    CHECK_OK(queue_to(gettid(), SI_USER));
    struct timespec soon = {0, 1};
    CHECK_ERR(syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 0), ENOSYS);
    struct {
        uint64_t value, address;
        uint32_t flags, reserved;
    } wait = {0, (uint64_t)(uintptr_t)&word, 2 | FUTEX_PRIVATE_FLAG, 0};
    CHECK_ERR(syscall(SYS_futex_waitv, &wait, 1, 0, &soon, CLOCK_MONOTONIC), ETIMEDOUT);
    CHECK_ERR(syscall(SYS_futex_waitv, &wait, 1, 0, &soon, CLOCK_BOOTTIME), EINVAL);
    CHECK_ERR(syscall(SYS_futex_waitv, NULL, 1, 0, &soon, CLOCK_MONOTONIC), EINVAL);
    wait.value = 1ul << 32;
    CHECK_ERR(syscall(SYS_futex_waitv, &wait, 1, 0, &soon, CLOCK_MONOTONIC), EINVAL);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, on_signal, SA_RESTART);
    finish(start(another, NULL));
    CHECK_OK(queue_to(gettid(), SI_USER));
    CHECK_OK(queue_to(0, SI_USER));
    say("ok");
}
