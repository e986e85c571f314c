// a_signal_to_oneself_by_a_pidfd_is_there_at_once.c - pidfd_send_signal to the own process: handlers have run, pending sets show it;
// information of one's own; threads; a directory of /proc; errors.
#include "check.h"

enum { kRounds = 200, kToThread = 1, kToGroup = 2, kThreadPidfd = O_EXCL, kSelfThread = -10000 };

static volatile int handled, code, value;
static void on_signal(int sig, siginfo_t* info, void* context) {
    CHECK_EQ(info->si_signo, SIGUSR1);
    CHECK_EQ(info->si_pid, getpid());
    code = info->si_code;
    value = info->si_value.sival_int;
    handled++;
}

static int send_by(int fd, int sig, siginfo_t* info, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static _Atomic int stop;
static void* take_none(void* arg) {
    sigset_t all;
    sigfillset(&all);
    CHECK_0(pthread_sigmask(SIG_BLOCK, &all, NULL));
    while (!stop) sleep_ms(1);
    return NULL;
}

static void handled_when_it_returns(int fd) {
    siginfo_t own;
    memset(&own, 0, sizeof own);
    own.si_signo = SIGUSR1;
    own.si_code = SI_QUEUE;
    own.si_pid = getpid();
    own.si_value.sival_int = 77;
    for (int i = 0; i < kRounds; i++) {
        int before = handled;
        CHECK_OK(send_by(fd, SIGUSR1, NULL, 0));
        CHECK_EQ(handled, before + 1);
        CHECK_EQ(code, SI_USER);
        CHECK_OK(send_by(fd, SIGUSR1, &own, 0));
        CHECK_EQ(handled, before + 2);
        CHECK(code == SI_QUEUE && value == 77);
    }
    own.si_code = SI_USER;  // the main thread may say so of itself
    CHECK_OK(send_by(fd, SIGUSR1, &own, 0));
    CHECK_EQ(code, SI_USER);
    CHECK_ERR(send_by(fd, SIGUSR2, &own, 0), EINVAL);
    CHECK_ERR(send_by(fd, SIGUSR1, (siginfo_t*)8, 0), EFAULT);
    CHECK_ERR(send_by(fd, 65, NULL, 0), EINVAL);
    CHECK_ERR(send_by(fd, SIGUSR1, NULL, 1u << 30), EINVAL);
    CHECK_OK(send_by(fd, 0, NULL, 0));
}

static void pending_when_it_returns(int fd) {
    sigset_t usr1 = signal_set(SIGUSR1, 0), pending;
    struct timespec none = {0, 0};
    block_signal(SIGUSR1);
    for (int i = 0; i < kRounds; i++) {
        CHECK_OK(send_by(fd, SIGUSR1, NULL, 0));
        CHECK_OK(sigpending(&pending));
        CHECK(sigismember(&pending, SIGUSR1));
        CHECK_EQ(sigtimedwait(&usr1, NULL, &none), SIGUSR1);
    }
    unblock_signal(SIGUSR1);
}

static void* by_another_thread(void* arg) {
    int fd = *(int*)arg;
    unblock_signal(SIGUSR1);
    siginfo_t forged;
    memset(&forged, 0, sizeof forged);
    forged.si_signo = SIGUSR1;
    forged.si_code = SI_USER;
    CHECK_ERR(send_by(fd, SIGUSR1, &forged, 0), EPERM);
    // The main thread alone, while this one does not block it.
    sigset_t pending;
    if (send_by(fd, SIGUSR1, NULL, kToThread) == 0) {
        CHECK_OK(sigpending(&pending));
        CHECK(!sigismember(&pending, SIGUSR1));
        int before = handled;
        CHECK_OK(send_by(fd, SIGUSR1, NULL, kToGroup));
        CHECK_EQ(handled, before + 1);
    } else {
        CHECK_EQ(errno, EINVAL);  // Linux before 6.9
    }
    int before = handled;
    if (send_by(kSelfThread, SIGUSR1, NULL, 0) == 0) {
        CHECK_EQ(handled, before + 1);
        CHECK_EQ(code, SI_TKILL);
    } else {
        CHECK_EQ(errno, EBADF);  // before 6.14
    }
    return NULL;
}

int main(void) {
    handle_info(SIGUSR1, on_signal, 0);
    pthread_t others[3];
    for (int i = 0; i < 3; i++) others[i] = start(take_none, NULL);
    settle();
    int fd = syscall(SYS_pidfd_open, getpid(), 0), directory, main_thread;
    CHECK_OK(fd);
    handled_when_it_returns(fd);
    pending_when_it_returns(fd);
    CHECK_OK(directory = open("/proc/self", O_RDONLY | O_DIRECTORY));
    handled_when_it_returns(directory);
    pending_when_it_returns(directory);
    main_thread = syscall(SYS_pidfd_open, getpid(), kThreadPidfd);
    if (main_thread != -1) {
        pending_when_it_returns(main_thread);
        int before = handled;
        CHECK_OK(send_by(main_thread, SIGUSR1, NULL, 0));
        CHECK(handled == before + 1 && code == SI_TKILL);
    }
    CHECK_ERR(send_by(0, SIGUSR1, NULL, 0), EBADF);
    CHECK_ERR(send_by(-1, SIGUSR1, NULL, 0), EBADF);

    block_signal(SIGUSR1);
    sigset_t usr1 = signal_set(SIGUSR1, 0);
    pthread_t other;
    struct timespec none = {0, 0};
    CHECK_0(pthread_create(&other, NULL, by_another_thread, &fd));
    finish(other);
    sigtimedwait(&usr1, NULL, &none);
    unblock_signal(SIGUSR1);
    stop = 1;
    for (int i = 0; i < 3; i++) finish(others[i]);
    say("ok");
}
