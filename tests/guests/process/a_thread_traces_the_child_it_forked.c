// a_thread_traces_the_child_it_forked.c - a thread among busy ones forks a child that asks to be traced, reads and writes its memory, and
// lets it go on; waits with __WNOTHREAD find the thread's own child.
#include <sys/ptrace.h>

#include "check.h"

static volatile long word = 41;
static _Atomic int stop;

static void* busy(void* arg) {
    for (int i = 0; !stop; i++)
        if (i % 5000 == 0) sched_yield();
    return NULL;
}

// of the child's next stop or end; what is no stop of the test's own is passed on
static int next_change(pid_t p) {
    int status;
    for (;;) {
        CHECK_EQ(waitpid(p, &status, __WALL), p);
        sleep_ms(2);
        if (!WIFSTOPPED(status) || WSTOPSIG(status) == SIGSTOP) return status;
        CHECK_OK(ptrace(PTRACE_CONT, p, 0, WSTOPSIG(status)));
    }
}

static void* trace(void* arg) {
    for (int round = 0; round < 5; round++) {
        pid_t p = fork();
        CHECK_OK(p);
        if (p == 0) {
            CHECK_OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
            raise(SIGSTOP);
            _exit(word);
        }
        CHECK(WIFSTOPPED(next_change(p)));
        errno = 0;
        CHECK_EQ(ptrace(PTRACE_PEEKDATA, p, &word, 0), 41);
        CHECK_EQ(errno, 0);
        sched_yield();
        CHECK_OK(ptrace(PTRACE_POKEDATA, p, &word, 50 + round));
        CHECK_OK(ptrace(PTRACE_CONT, p, 0, 0));
        int status = next_change(p);
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 50 + round);
        CHECK_ERR(ptrace(PTRACE_CONT, p, 0, 0), ESRCH);

        p = fork();
        CHECK_OK(p);
        if (p == 0) {
            sleep_ms(5);
            _exit(3);
        }
        sleep_ms(2);
        CHECK_EQ(waitpid(p, &status, __WNOTHREAD), p);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    }
    return NULL;
}

// as debuggers start programs
static void* trace_a_vfork_child(void* arg) {
    int status;
    pid_t p = vfork();
    CHECK_OK(p);
    if (p == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(9);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/proc/self/exe", "again", "7", NULL);
        _exit(8);
    }
    int stops = 0;
    while (waitpid(p, &status, __WALL) == p && WIFSTOPPED(status)) {
        int sig = WSTOPSIG(status);
        if (!stops++) CHECK_EQ(sig, SIGTRAP);  // the exec
        CHECK_OK(ptrace(PTRACE_CONT, p, 0, sig == SIGTRAP ? 0 : sig));
    }
    CHECK(stops && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    return NULL;
}

int main(int argc, char** argv) {
    if (argc > 1) return atoi(argv[1]);
    pthread_t t[3];
    for (int i = 0; i < 3; i++) t[i] = start(busy, NULL);
    finish(start(trace, NULL));
    finish(start(trace_a_vfork_child, NULL));
    stop = 1;
    for (int i = 0; i < 3; i++) finish(t[i]);
    say("ok");
}
