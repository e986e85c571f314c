// threads_wait_for_every_kind_of_change.c - wait4 and waitid in a process with threads: any child, a group, a pidfd; ends, stops,
// continuations; results that stay; interruptions.
#include "check.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static volatile int handled;

static void on_signal(int sig) {
    handled++;
}

static pid_t paused_child(int code) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        handle(SIGTERM, SIG_DFL, 0);
        raise(SIGSTOP);
        _exit(code);
    }
    return p;
}

static void* any_child(void* arg) {
    struct rusage use;
    memset(&use, 0xff, sizeof use);
    int status;
    pid_t p = wait4(-1, &status, 0, &use);
    CHECK(p > 0 && WIFEXITED(status));
    CHECK(use.ru_utime.tv_usec >= 0);
    return (void*)(long)WEXITSTATUS(status);
}

static void* watches(void* arg) {
    pid_t p = (pid_t)(long)arg;
    int status;
    CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK_OK(kill(p, SIGCONT));
    // The child may be gone before its continuation was looked at.
    CHECK_EQ(waitpid(p, &status, WCONTINUED), p);
    if (WIFCONTINUED(status)) CHECK_EQ(waitpid(p, &status, 0), p);
    CHECK(WIFEXITED(status));
    return (void*)(long)WEXITSTATUS(status);
}

static void* watches_by_waitid(void* arg) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    CHECK_OK(waitid(P_PID, (id_t)(long)arg, &info, WSTOPPED | WNOWAIT));
    CHECK(info.si_pid == (pid_t)(long)arg && info.si_code == CLD_STOPPED && info.si_status == SIGSTOP && info.si_signo == SIGCHLD);
    CHECK_OK(waitid(P_PID, (id_t)(long)arg, &info, WSTOPPED));
    CHECK_OK(kill(info.si_pid, SIGCONT));
    CHECK_OK(waitid(P_PID, (id_t)(long)arg, &info, WEXITED | WNOWAIT));
    CHECK_OK(waitid(P_PID, (id_t)(long)arg, NULL, WEXITED));
    int code = info.si_status;
    CHECK_ERR(waitid(P_PID, (id_t)(long)arg, &info, WEXITED), ECHILD);
    CHECK(info.si_pid == 0 && info.si_status == 0);
    return (void*)(long)code;
}

static void* is_interrupted(void* arg) {
    int status;
    CHECK_ERR(waitpid(-1, &status, 0), EINTR);
    return NULL;
}

static void* waits_for_group(void* arg) {
    siginfo_t info;
    pid_t group = (pid_t)(long)arg;
    CHECK_OK(waitid(P_PGID, group, &info, WEXITED));
    CHECK_EQ(info.si_status, 9);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, on_signal, 0);
    pid_t child = paused_child(3);
    CHECK_EQ((long)finish(start(watches, (void*)(long)child)), 3);
    child = paused_child(4);
    CHECK_EQ((long)finish(start(watches_by_waitid, (void*)(long)child)), 4);

    // Ten threads, ten children, whoever comes first.
    int gate[2];
    make_pipe(gate);
    pthread_t t[10];
    for (int i = 0; i < 10; i++) {
        if (fork() == 0) {
            char c;
            close(gate[1]);
            _exit(read(gate[0], &c, 1) == 0 ? 1 << (i % 7) : 0);
        }
    }
    for (int i = 0; i < 10; i++) t[i] = start(any_child, NULL);
    settle();
    close(gate[1]);
    int sum = 0;
    for (int i = 0; i < 10; i++) sum += (int)(long)finish(t[i]);
    CHECK_EQ(sum, 127 + 1 + 2 + 4);

    make_pipe(gate);
    child = fork();
    if (child == 0) {
        char c;
        setpgid(0, 0);
        close(gate[1]);
        read(gate[0], &c, 1);
        _exit(9);
    }
    setpgid(child, child);
    pthread_t victim = start(is_interrupted, NULL);
    struct pester p;
    pester_start(&p, victim, SIGUSR1);
    finish(victim);
    pester_stop(&p);
    pthread_t group = start(waits_for_group, (void*)(long)child);
    settle();
    close(gate[1]);
    finish(group);

    child = paused_child(5);
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK_OK(fd);
    siginfo_t info;
    CHECK_OK(waitid((idtype_t)P_PIDFD, fd, &info, WSTOPPED));
    CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
    CHECK_ERR(waitid((idtype_t)P_PIDFD, fd, &info, WEXITED), EAGAIN);
    CHECK_OK(fcntl(fd, F_SETFL, 0));
    CHECK_OK(kill(child, SIGCONT));
    CHECK_OK(waitid((idtype_t)P_PIDFD, fd, &info, WEXITED));
    CHECK_EQ(info.si_status, 5);
    CHECK_ERR(wait(NULL), ECHILD);
    CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    CHECK_ERR(waitid(P_ALL, 0, &info, 0), EINVAL);
    say("ok");
}
