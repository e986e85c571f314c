// What a debugger counts on: the stop at an exec is at the first instruction of the program, breakpoints put there are met, a
// single step over a system call ends behind it, and the only signals reported are the program's own.
// TEST: link=static
#include <elf.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "../check.h"

extern char _start[], before_call[], behind_call[];

__attribute__((noinline)) static void marked(void) { asm volatile("nop"); }

static int traced_program(void) {
    for (int i = 0; i < 3; i++) getppid();
    marked();
    long r;
    asm volatile("before_call: syscall\nbehind_call: nop" : "=a"(r) : "0"(SYS_getppid) : "rcx", "r11", "memory");
    CHECK(r == getppid());
    int pipe_ends[2];
    char c;
    CHECK(!pipe(pipe_ends) && write(pipe_ends[1], "x", 1) == 1 && read(pipe_ends[0], &c, 1) == 1);
    raise(SIGUSR1);
    return 7;
}

static unsigned long rip(pid_t p) {
    struct user_regs_struct r;
    CHECK_OK(ptrace(PTRACE_GETREGS, p, NULL, &r));
    return r.rip;
}

static int next_stop(pid_t p, int request) {
    CHECK_OK(ptrace(request, p, NULL, NULL));
    int status;
    CHECK(waitpid(p, &status, 0) == p);
    return status;
}

static void go_to(pid_t p, unsigned long address) {
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, p, (void*)address, NULL);
    CHECK(!errno);
    CHECK_OK(ptrace(PTRACE_POKETEXT, p, (void*)address, (void*)((word & ~0xfful) | 0xcc)));
    int status = next_stop(p, PTRACE_CONT);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    CHECK(rip(p) == address + 1);
    CHECK_OK(ptrace(PTRACE_POKETEXT, p, (void*)address, (void*)word));
    CHECK_OK(ptrace(PTRACE_POKEUSER, p, (void*)offsetof(struct user_regs_struct, rip), (void*)address));
}

static unsigned long told(pid_t p, unsigned long type) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/auxv", p);
    int fd = open(path, O_RDONLY);
    CHECK_OK(fd);
    Elf64_auxv_t a[64] = {};
    CHECK(read(fd, a, sizeof a) > 0);
    close(fd);
    for (int i = 0; i < 64 && a[i].a_type != AT_NULL; i++)
        if (a[i].a_type == type) return a[i].a_un.a_val;
    return 0;
}

static void trace(int with_event) {
    pid_t p = fork();
    if (!p) {
        CHECK_OK(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
        if (with_event) raise(SIGSTOP);
        execl("/proc/self/exe", "traced", "program", NULL);
        _exit(9);
    }
    CHECK_OK(p);
    int status;
    CHECK(waitpid(p, &status, 0) == p);
    if (with_event) {
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        CHECK_OK(ptrace(PTRACE_SETOPTIONS, p, NULL, (void*)PTRACE_O_TRACEEXEC));
        status = next_stop(p, PTRACE_CONT);
        CHECK(status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8));
    }
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    CHECK(rip(p) == (unsigned long)_start);
    CHECK(told(p, AT_ENTRY) == (unsigned long)_start);
    status = next_stop(p, PTRACE_SINGLESTEP);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    go_to(p, (unsigned long)marked);
    go_to(p, (unsigned long)before_call);
    status = next_stop(p, PTRACE_SINGLESTEP);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    CHECK(rip(p) == (unsigned long)behind_call);
    status = next_stop(p, PTRACE_SINGLESTEP);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
    struct user_regs_struct r;
    CHECK_OK(ptrace(PTRACE_GETREGS, p, NULL, &r));
    CHECK(!(r.eflags & 0x100));  // the trap flag is the tracer's
    status = next_stop(p, PTRACE_CONT);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
    CHECK(WEXITSTATUS(next_stop(p, PTRACE_CONT)) == 7);
}

static void* sleeps(void* arg) {
    pause();
    return NULL;
}

int main(int argc, char** argv) {
    if (argc > 1) return traced_program();
    for (int i = 0; i < 2; i++) trace(i);
    start(sleeps, NULL);
    for (int i = 0; i < 2; i++) trace(i);
    say("done");
    return 0;
}
