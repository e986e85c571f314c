// clone_flavours_other_than_threads.c - CLONE_VM without THREAD, PARENT_SETTID, CHILD_SETTID, CHILD_CLEARTID, PIDFD,
// own exit signal.
#include <linux/futex.h>
#include <poll.h>

#include "check.h"

enum { STACK = 256 * 1024 };
static volatile int shared;
static pid_t parent_tid, child_tid;

static int write_shared(void* arg) {
    shared = (int)(long)arg;
    return 7;
}

static int check_tid(void* arg) {
    return child_tid == (pid_t)syscall(SYS_gettid) && shared == 5 ? 8 : 9;
}

static int change_directory(void* arg) {
    return chdir("sub") ? 1 : 0;
}

static int close_number(void* arg) {
    return close((int)(long)arg) ? 1 : 0;
}

int main(void) {
    char* stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void* top = stack + STACK;
    pid_t p = clone(write_shared, top, CLONE_VM | SIGCHLD, (void*)5);
    CHECK_OK(p);
    CHECK_EXIT(p, 7);
    CHECK_EQ(shared, 5);
    p = clone(write_shared, top, CLONE_VM | CLONE_VFORK | SIGCHLD, (void*)6);
    CHECK_EQ(shared, 6);
    CHECK_EXIT(p, 7);
    p = clone(write_shared, top, SIGCHLD, (void*)77);  // a plain fork with its own stack
    CHECK_EXIT(p, 7);
    CHECK_EQ(shared, 6);
    shared = 5;
    p = clone(check_tid, top, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &parent_tid, NULL,
              &child_tid);
    CHECK_OK(p);
    CHECK_EQ(parent_tid, p);
    CHECK_EXIT(p, 8);
    CHECK_EQ(child_tid, 0);  // set in the child's copy only
    child_tid = 1;
    p = clone(write_shared, top, CLONE_VM | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, (void*)1, NULL, NULL,
              &child_tid);
    CHECK_OK(p);
    for (int seen; (seen = __atomic_load_n(&child_tid, __ATOMIC_SEQ_CST)) != 0;)
        syscall(SYS_futex, &child_tid, FUTEX_WAIT, seen, NULL, NULL, 0);
    CHECK_EXIT(p, 7);
    say("memory and ids ok");

    int fd = -1;
    p = clone(write_shared, top, CLONE_PIDFD | SIGCHLD, (void*)1, &fd);
    CHECK_OK(p);
    struct pollfd poll_fd = {fd, POLLIN, 0};
    CHECK_EQ(poll(&poll_fd, 1, -1), 1);
    siginfo_t info;
    CHECK_OK(waitid((idtype_t)3 /* P_PIDFD */, fd, &info, WEXITED));
    CHECK(info.si_pid == p && info.si_status == 7);
    close(fd);

    signal(SIGUSR1, SIG_IGN);                         // before: the child may end at once
    p = clone(write_shared, top, SIGUSR1, (void*)1);  // not SIGCHLD
    CHECK_OK(p);
    int status;
    CHECK_EQ(waitpid(p, &status, __WCLONE), p);
    CHECK_EQ(WEXITSTATUS(status), 7);

    CHECK_OK(mkdir("sub", 0700));
    struct stat before, after;
    CHECK_OK(stat(".", &before));
    p = clone(change_directory, top, CLONE_FS | SIGCHLD, NULL);
    CHECK_EXIT(p, 0);
    CHECK_OK(stat(".", &after));
    CHECK(before.st_ino != after.st_ino);  // the working directory is shared
    int number = dup(1);
    p = clone(close_number, top, CLONE_FILES | SIGCHLD, (void*)(long)number);
    CHECK_EXIT(p, 0);
    CHECK_ERR(fcntl(number, F_GETFD), EBADF);
    number = dup(1);
    p = clone(close_number, top, SIGCHLD, (void*)(long)number);
    CHECK_EXIT(p, 0);
    CHECK_OK(fcntl(number, F_GETFD));
    CHECK_ERR(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    CHECK_ERR(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
    say("ok");
}
