// wait_reports_every_kind_of_end.c - wait4 and waitid: exit codes, signals, stop, continue, WNOHANG, WNOWAIT,
// groups, ECHILD.
// TEST: link=dynamic,static
#include "check.h"

static pid_t spawn(void (*function)(int), int arg) {
    pid_t p = fork();
    CHECK_OK(p);
    if (p == 0) {
        function(arg);
        _exit(0);
    }
    return p;
}

static void exit_with(int code) {
    _exit(code);
}
static void die_of(int sig) {
    signal(sig, SIG_DFL);
    raise(sig);
    _exit(99);
}
static void wait_for_signals(int group) {
    if (group) setpgid(0, 0);
    for (;;) pause();
}

static void* all(void* arg) {
    int status;
    siginfo_t info;
    struct rusage usage;
    int codes[] = {0, 1, 42, 127, 255, 256};
    for (int i = 0; i < 6; i++) CHECK_EXIT(spawn(exit_with, codes[i]), codes[i] & 0xff);
    int signals[] = {SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGABRT, SIGFPE, SIGKILL, SIGSEGV,
                     SIGPIPE,   SIGALRM, SIGTERM, SIGUSR1, SIGBUS,  SIGSYS, SIGTRAP, SIGXCPU,
                     SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  34,      64};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) CHECK_KILLED(spawn(die_of, signals[i]), signals[i]);

    pid_t p = spawn(wait_for_signals, 0);
    CHECK_EQ(waitpid(p, &status, WNOHANG), 0);
    memset(&info, 1, sizeof info);
    CHECK_OK(waitid(P_PID, p, &info, WEXITED | WNOHANG));
    CHECK_EQ(info.si_pid, 0);
    CHECK_OK(kill(p, SIGSTOP));
    CHECK_EQ(waitpid(p, &status, WUNTRACED), p);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK_OK(kill(p, SIGCONT));
    CHECK_OK(waitid(P_PID, p, &info, WCONTINUED));
    CHECK(info.si_code == CLD_CONTINUED && info.si_status == SIGCONT && info.si_pid == p && info.si_signo == SIGCHLD);
    CHECK_OK(kill(p, SIGTERM));
    CHECK_OK(waitid(P_PID, p, &info, WEXITED | WNOWAIT));
    CHECK(info.si_code == CLD_KILLED && info.si_status == SIGTERM && info.si_uid == getuid());
    CHECK_EQ(wait4(p, &status, 0, &usage), p);
    CHECK(WIFSIGNALED(status) && usage.ru_maxrss >= 0);
    CHECK_ERR(waitpid(p, &status, 0), ECHILD);

    p = spawn(exit_with, 5);
    CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
    CHECK(info.si_code == CLD_EXITED && info.si_status == 5 && info.si_pid == p);
    CHECK_EQ(wait(&status), p);
    pid_t group = spawn(wait_for_signals, 1);
    setpgid(group, group);
    p = spawn(exit_with, 6);
    CHECK_EXIT(p, 6);
    CHECK_EQ(waitpid(-group, &status, WNOHANG), 0);
    CHECK_OK(kill(-group, SIGKILL));
    CHECK_OK(waitid(P_PGID, group, &info, WEXITED));
    CHECK_EQ(info.si_pid, group);
    CHECK_ERR(waitid(P_ALL, 0, &info, 0), EINVAL);
    CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    CHECK_ERR(waitpid(-1, &status, 0xffff), EINVAL);
    return NULL;
}

int main(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    all(NULL);
    finish(start(all, NULL));
    say("ok");
}
