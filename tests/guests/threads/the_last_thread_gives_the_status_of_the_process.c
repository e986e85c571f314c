// the_last_thread_gives_the_status_of_the_process.c - the main thread ended first: the process ends as its last thread does (Linux 5.19), and
// the main thread's id can be sent signals until then, which nobody takes.
#include "check.h"

static void exit_thread(int code) {
    for (;;) syscall(SYS_exit, code);
}

static void* ends(void* arg) {
    settle();
    exit_thread((int)(intptr_t)arg);
    return NULL;
}

static void* exits(void* arg) {
    settle();
    exit((int)(intptr_t)arg);
}

static void* is_killed(void* arg) {
    settle();
    CHECK_OK(kill(getpid(), SIGTERM));
    for (;;) pause();
}

static void* signals_the_main_thread(void* arg) {
    settle();
    pid_t self = getpid();
    CHECK_OK(syscall(SYS_tgkill, self, self, 0));
    CHECK_OK(syscall(SYS_tgkill, self, self, SIGUSR1));
    CHECK_OK(syscall(SYS_tkill, self, SIGUSR1));
    CHECK_ERR(syscall(SYS_tgkill, self, self, 65), EINVAL);
    exit(0);
}

static pid_t leave_to(thread_function function, int code) {
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        start(function, (void*)(intptr_t)code);
        exit_thread(3);
    }
    return child;
}

int main(void) {
    CHECK_EXIT(leave_to(ends, 5), 5);
    CHECK_EXIT(leave_to(ends, 0), 0);
    CHECK_EXIT(leave_to(exits, 7), 7);
    CHECK_KILLED(leave_to(is_killed, 0), SIGTERM);
    CHECK_EXIT(leave_to(signals_the_main_thread, 0), 0);
    say("ok");
}
