// thread_ids_are_known_to_calls_about_processes.c - getpgid, getsid, prlimit, kcmp, process_vm_readv, capget, ioprio, kill ... take the
// id of any thread of the process.
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <sys/uio.h>

#include "check.h"

enum { kProcess = 1, kBestEffort = 2 << 13 };  // include/uapi/linux/ioprio.h
static _Atomic pid_t tid;
static _Atomic int hits;

static void hit(int sig) {
    hits++;
}

static void* wait_for_leave(void* arg) {
    sem_t* leave = arg;
    tid = gettid();
    while (sem_wait(leave)) CHECK_EQ(errno, EINTR);
    CHECK_EQ(syscall(SYS_ioprio_get, kProcess, 0), kBestEffort | 3);
    return NULL;
}

static void about_the_process(void) {
    struct rlimit limit;
    char there[4] = "abc", here[4] = "";
    struct iovec from = {there, sizeof there}, to = {here, sizeof here};
    CHECK_EQ(getpgid(tid), getpgid(0));
    CHECK_EQ(getsid(tid), getsid(0));
    CHECK_ERR(setpgid(tid, 0), EINVAL);
    CHECK_OK(prlimit(tid, RLIMIT_NOFILE, NULL, &limit));
    CHECK_EQ(process_vm_readv(tid, &to, 1, &from, 1, 0), 4);
    CHECK(!strcmp(here, "abc"));
    CHECK_EQ(process_vm_writev(tid, &to, 1, &from, 1, 0), 4);
    CHECK_EQ(syscall(SYS_kcmp, getpid(), tid, KCMP_VM, 0, 0), 0);
    CHECK_EQ(syscall(SYS_kcmp, tid, tid, KCMP_FILES, 0, 0), 0);
    CHECK_ERR(syscall(SYS_migrate_pages, tid, 0, NULL, NULL), EINVAL);
    CHECK_OK(syscall(SYS_move_pages, tid, 0, NULL, NULL, NULL, 0));
    CHECK_EQ(syscall(SYS_pidfd_open, tid, 0), -1);
    CHECK(errno == ENOENT || errno == EINVAL);  // it is no leader; Linux 6.15 changed the number
    CHECK_OK(kill(tid, 0));
    CHECK_OK(kill(tid, SIGUSR1));
    while (!hits) sched_yield();
}

static void about_the_thread(void) {
    CHECK_OK(syscall(SYS_ioprio_set, kProcess, tid, kBestEffort | 3));
    CHECK_EQ(syscall(SYS_ioprio_get, kProcess, tid), kBestEffort | 3);
    CHECK(syscall(SYS_ioprio_get, kProcess, 0) != (kBestEffort | 3));
    CHECK_ERR(syscall(SYS_ioprio_set, kProcess, tid, 7 << 13), EINVAL);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, tid};
    struct __user_cap_data_struct theirs[2], own[2];
    CHECK_OK(syscall(SYS_capget, &header, theirs));
    CHECK_ERR(syscall(SYS_capset, &header, theirs), EPERM);
    header.pid = gettid();
    CHECK_OK(syscall(SYS_capget, &header, own));
    CHECK(!memcmp(own, theirs, sizeof own));
    CHECK_OK(syscall(SYS_capset, &header, own));
    header.version = 1;
    header.pid = tid;
    CHECK_ERR(syscall(SYS_capget, &header, theirs), EINVAL);
    CHECK_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
}

static void* from_another(void* arg) {
    about_the_process();
    about_the_thread();
    return NULL;
}

int main(void) {
    sem_t leave;
    sem_init(&leave, 0, 0);
    handle(SIGUSR1, hit, SA_RESTART);
    pthread_t other = start(wait_for_leave, &leave);
    while (!tid) sched_yield();
    about_the_process();
    finish(start(from_another, NULL));
    about_the_thread();
    sem_post(&leave);
    finish(other);
    for (int tries = 0; getpgid(tid) != -1; tries++) {
        CHECK(tries < 1000);
        sleep_ms(5);
    }
    CHECK_ERR(getpgid(tid), ESRCH);
    say("ok");
}
