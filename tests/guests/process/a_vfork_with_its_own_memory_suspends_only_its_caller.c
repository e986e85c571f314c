// a_vfork_with_its_own_memory_suspends_only_its_caller.c - CLONE_VFORK without CLONE_VM in a process with threads: the caller waits for
// the child's exec or exit, uninterrupted; the child may wait for the other threads; its own children hold nobody up.
#include <linux/sched.h>

#include "check.h"

static int question[2], answer[2], hold[2];
static pthread_t main_thread;
static volatile int* child_done;
static volatile int handled;

static void on_signal(int sig) {
    CHECK(*child_done);
    handled++;
}

static void* answer_all(void* arg) {
    char c;
    while (read(question[0], &c, 1) == 1 && c != 'q') {
        if (c == 's') CHECK_0(pthread_kill(main_thread, SIGUSR1));
        CHECK_EQ(write(answer[1], &c, 1), 1);
    }
    return NULL;
}

static void ask(char c) {
    char a;
    CHECK_EQ(write(question[1], &c, 1), 1);
    CHECK_EQ(read(answer[0], &a, 1), 1);
    CHECK_EQ(a, c);
}

static pid_t vfork_apart(int by_clone3) {
    struct clone_args args = {.flags = CLONE_VFORK, .exit_signal = SIGCHLD};
    *child_done = 0;
    pid_t p = by_clone3 ? syscall(SYS_clone3, &args, sizeof args) : syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    CHECK_OK(p);
    if (p) CHECK(*child_done);
    return p;
}

static void close_all_but(int a, int b) {
    for (int fd = 3; fd < 200; fd++)
        if (fd != a && fd != b) close(fd);
    CHECK_OK(syscall(SYS_close_range, 200, ~0u, 0));
}

static void child_exits(int by_clone3) {
    int next = dup(0);
    close(next);
    pid_t p = vfork_apart(by_clone3);
    if (p == 0) {
        CHECK_EQ(dup(0), next);
        close_all_but(question[1], answer[0]);
        ask('x');
        *child_done = 1;
        _exit(3);
    }
    CHECK_EQ(dup(0), next);
    close(next);
    CHECK_EXIT(p, 3);
}

static void a_signal_waits(void) {
    int before = handled;
    pid_t p = vfork_apart(0);
    if (p == 0) {
        ask('s');
        sleep_ms(20);
        *child_done = 1;
        _exit(4);
    }
    CHECK_EQ(handled, before + 1);
    CHECK_EXIT(p, 4);
}

static void a_grandchild_goes_on(void) {
    make_pipe(hold);
    pid_t p = vfork_apart(0);
    if (p == 0) {
        close(hold[1]);
        for (int i = 0; i < 2; i++) {
            pid_t grandchild = i ? vfork_apart(0) : fork();
            CHECK_OK(grandchild);
            *child_done = 1;
            char c;
            if (grandchild == 0 && i == 0) read(hold[0], &c, 1);
            if (grandchild == 0) _exit(0);
            *child_done = 0;
        }
        ask('g');
        *child_done = 1;
        _exit(5);
    }
    CHECK_EXIT(p, 5);
    close(hold[0]);
    close(hold[1]);
}

static void child_executes(void) {
    make_pipe(hold);
    pid_t p = vfork_apart(0);
    if (p == 0) {
        CHECK_ERR(execl("/nowhere", "nowhere", NULL), ENOENT);
        ask('e');
        close(hold[1]);
        CHECK_OK(dup2(hold[0], 0));
        *child_done = 1;
        execl("/bin/sh", "sh", "-c", "read line; exit 6", NULL);
        _exit(1);
    }
    int status;
    CHECK_EQ(waitpid(p, &status, WNOHANG), 0);
    close(hold[0]);
    close(hold[1]);
    CHECK_EXIT(p, 6);
}

static void child_is_killed(void) {
    pid_t p = vfork_apart(0);
    if (p == 0) {
        ask('k');
        *child_done = 1;
        kill(getpid(), SIGKILL);
    }
    CHECK_KILLED(p, SIGKILL);
}

static void* all_cases(void* arg) {
    for (int i = 0; i < 5; i++) {
        child_exits(i % 2);
        a_grandchild_goes_on();
        child_executes();
        child_is_killed();
    }
    return NULL;
}

int main(void) {
    child_done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    main_thread = pthread_self();
    handle(SIGUSR1, on_signal, 0);
    make_pipe(question);
    make_pipe(answer);
    pthread_t other = start(answer_all, NULL);
    all_cases(NULL);
    a_signal_waits();
    finish(start(all_cases, NULL));
    CHECK_EQ(write(question[1], "q", 1), 1);
    finish(other);
    say("ok");
}
