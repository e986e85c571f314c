// filter_of_one_thread_holds_for_it_and_those_it_starts.c - a seccomp filter without TSYNC beside other threads: theirs
// and their calls stay as they are; with TSYNC all have it, unless one went its own way.
// TEST: needs=guest-seccomp
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "check.h"

enum { kDenied = 123, kRounds = 50 };

static long deny(int first, int second, int flags) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | kDenied),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {5, f};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// what the kernel answers by itself, and what the runtime does
static int denied(int nr) {
    errno = 0;
    return syscall(nr, -1, 0, 0) == -1 && errno == kDenied;
}

static void look(int expected) {
    for (int i = 0; i < kRounds; i++) {
        CHECK_EQ(denied(SYS_getppid), expected);
        CHECK_EQ(denied(SYS_dup2), expected);
        if (i % 8 == 0) usleep(100);
        sched_yield();
    }
}

static pthread_barrier_t in_force, seen, shared;
static volatile pid_t filtered;

static void* sees(void* expected) {
    look(expected != NULL);
    return NULL;
}

static void* installs(void* arg) {
    (void)arg;
    filtered = (pid_t)syscall(SYS_gettid);
    CHECK_EQ(deny(SYS_getppid, SYS_dup2, 0), 0);
    pthread_barrier_wait(&in_force);
    look(1);
    finish(start(sees, (void*)1));
    pid_t p = fork();
    if (p == 0) {
        look(1);
        finish(start(sees, (void*)1));
        _exit(7);
    }
    CHECK_EXIT(p, 7);
    pthread_barrier_wait(&seen);
    pthread_barrier_wait(&shared);
    CHECK(!denied(SYS_getegid));
    return NULL;
}

static void* other(void* arg) {
    (void)arg;
    pthread_barrier_wait(&in_force);
    look(0);
    finish(start(sees, NULL));
    pthread_barrier_wait(&seen);
    pthread_barrier_wait(&shared);
    return NULL;
}

static void* is_synchronised(void* arg) {
    (void)arg;
    pthread_barrier_wait(&shared);
    look(1);
    finish(start(sees, (void*)1));
    return NULL;
}

int main(void) {
    pthread_barrier_init(&in_force, NULL, 3);
    pthread_barrier_init(&seen, NULL, 3);
    pthread_barrier_init(&shared, NULL, 3);
    pthread_t a = start(installs, NULL), b = start(other, NULL);
    pthread_barrier_wait(&in_force);
    look(0);
    pthread_barrier_wait(&seen);
    CHECK_EQ(deny(SYS_getegid, SYS_getegid, SECCOMP_FILTER_FLAG_TSYNC), filtered);
    CHECK(!denied(SYS_getegid));
    pthread_barrier_wait(&shared);
    finish(a);
    finish(b);
    look(0);

    // the child of a vfork is a process of its own
    pid_t p = vfork();
    if (p == 0) {
        deny(SYS_getppid, SYS_dup2, 0);
        _exit(denied(SYS_getppid) && denied(SYS_dup2) ? 3 : 4);
    }
    CHECK_EXIT(p, 3);
    look(0);

    a = start(is_synchronised, NULL);
    b = start(is_synchronised, NULL);
    settle();
    CHECK_EQ(deny(SYS_getppid, SYS_dup2, SECCOMP_FILTER_FLAG_TSYNC), 0);
    pthread_barrier_wait(&shared);
    look(1);
    finish(a);
    finish(b);

    // alone again, on whichever kernel thread
    CHECK_EQ(deny(SYS_getegid, SYS_getegid, 0), 0);
    for (int i = 0; i < kRounds; i++) {
        CHECK(denied(SYS_getegid));
        if (i % 16 == 0) finish(start(sees, (void*)1));
    }
    say("ok");
}
