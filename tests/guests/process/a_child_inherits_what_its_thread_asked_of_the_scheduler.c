// a_child_inherits_what_its_thread_asked_of_the_scheduler.c - nice value, policy and I/O priority of the thread that forked.
#include "check.h"

enum { kProcess = 1, kBestEffort = 2 << 13 };  // include/uapi/linux/ioprio.h

static void* ask_and_fork(void* arg) {
    struct sched_param none = {0};
    CHECK_OK(sched_setscheduler(0, SCHED_BATCH, &none));
    CHECK_OK(setpriority(PRIO_PROCESS, 0, 7));
    CHECK_OK(syscall(SYS_ioprio_set, kProcess, 0, kBestEffort | 6));
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        CHECK_EQ(sched_getscheduler(0), SCHED_BATCH);
        CHECK_EQ(getpriority(PRIO_PROCESS, 0), 7);
        CHECK_EQ(syscall(SYS_ioprio_get, kProcess, 0), kBestEffort | 6);
        _exit(0);
    }
    CHECK_EXIT(p, 0);
    return NULL;
}

int main(void) {
    int nice_before = getpriority(PRIO_PROCESS, 0);
    finish(start(ask_and_fork, NULL));
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) _exit(sched_getscheduler(0) == SCHED_OTHER && getpriority(PRIO_PROCESS, 0) == nice_before ? 0 : 1);
    CHECK_EXIT(p, 0);
    say("ok");
}
