// pdeathsig_fires_when_the_forking_thread_ends.c - as prctl(2) says, it is the thread that counts, and after it the thread that
// inherits its children; set by the child of a fork, of a vfork, and by the program it executed.
// TEST: needs=thread_pdeathsig
#include <sys/prctl.h>

#include "check.h"

enum how { by_fork, by_vfork, after_exec, not_at_all, caught };
static int fds[2];

static void say_ready(void) {
    CHECK_EQ(write(fds[1], "x", 1), 1);
}

static void hear(void) {
    char c;
    CHECK_EQ(read(fds[0], &c, 1), 1);
}

static void catch_them(void) {
    sigset_t set = signal_set(SIGUSR1, 0);
    block_signal(SIGUSR1);
    CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    say_ready();
    for (int n = 0; n < 2; n++) {
        siginfo_t info;
        CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR1);
        CHECK_EQ(info.si_code, SI_USER);
        CHECK_EQ(info.si_pid, getppid());
        say_ready();
    }
    _exit(0);
}

static void run_again(const char* what) {
    char number[16];
    snprintf(number, sizeof number, "%d", fds[1]);
    execl("/proc/self/exe", "again", what, number, NULL);
    _exit(9);
}

static void* fork_and_leave(void* arg) {
    enum how how = (long)arg;
    pid_t p = how == by_vfork ? vfork() : fork();
    CHECK_OK(p);
    if (p == 0) {
        if (how == by_vfork) {
            if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(8);
            run_again("wait");
        }
        if (how == after_exec) run_again("ask");
        if (how == caught) catch_them();
        if (how == by_fork) CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
        say_ready();
        if (how == by_fork) pause();
        sleep_ms(60);
        _exit(0);
    }
    hear();
    return (void*)(long)p;
}

static pid_t forked(enum how how) {
    return (pid_t)(long)finish(start(fork_and_leave, (void*)(long)how));
}

static pid_t catching;

static void* outlive_the_first(void* arg) {
    hear();  // the end of the main thread
    CHECK_EXIT(catching, 0);
    say("ok");
    exit(0);
}

int main(int argc, char** argv) {
    if (argc > 2) {
        fds[1] = atoi(argv[2]);
        if (!strcmp(argv[1], "ask")) CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
        say_ready();
        pause();
    }
    make_pipe(fds);
    CHECK_EXIT(forked(not_at_all), 0);
    CHECK_KILLED(forked(by_fork), SIGKILL);
    CHECK_KILLED(forked(by_vfork), SIGKILL);
    CHECK_KILLED(forked(after_exec), SIGKILL);
    catching = forked(caught);
    hear();  // the end of the thread that forked
    start(outlive_the_first, NULL);
    pthread_exit(NULL);
}
