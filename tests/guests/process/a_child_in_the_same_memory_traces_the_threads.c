// A CLONE_VM child that is no thread lists, stops, looks at and lets go the threads of its parent by ptrace: registers and
// stack are theirs where they stand; a call that was interrupted goes on; a signal that a thread gets while it is traced is the
// tracer's to pass on or to drop; a tracer that dies leaves nobody stopped.
#include <dirent.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "../check.h"

enum { kWaits, kReads, kSpins, kMain, kThreads };
static const unsigned long kMark = 0x1234567890abcdef;
static pid_t self, ids[kThreads];
static int stop, pipe_ends[2], other_pipe[2], handled;
static volatile unsigned long spins;
static pthread_barrier_t all_there;

static void handler(int sig) { __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST); }

static void there(int which) {
    ids[which] = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&all_there);
}

// In a call that nobody ends before the end; r12 is marked.
static void* waits(void* arg) {
    there(kWaits);
    static char c;
    long r;
    asm volatile("push %%r12; mov %5, %%r12; mov %1, %%eax; syscall; pop %%r12"
                 : "=&a"(r) : "i"(SYS_read), "D"((long)other_pipe[0]), "S"(&c), "d"(1L), "r"(kMark) : "rcx", "r11", "memory");
    CHECK(r == 1 && c == 'y');
    return NULL;
}

static void* reads(void* arg) {
    there(kReads);
    char c;
    CHECK(read(pipe_ends[0], &c, 1) == 1 && c == 'x');  // no EINTR: a stop is no handler
    return NULL;
}

static void* spins_on(void* arg) {
    there(kSpins);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) spins++;
    return NULL;
}

static long trace(long request, pid_t id, void* address, void* data) { return syscall(SYS_ptrace, request, id, address, data); }

static int listed(pid_t id) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", self);
    DIR* d = opendir(path);
    CHECK(d);
    int found = 0;
    for (struct dirent* e; (e = readdir(d));) found += atoi(e->d_name) == id;
    closedir(d);
    return found;
}

static void attach(pid_t id) {
    CHECK_OK(trace(PTRACE_ATTACH, id, NULL, NULL));
    CHECK(trace(PTRACE_ATTACH, id, NULL, NULL) == -1 && errno == EPERM);
    int status;
    CHECK(waitpid(id, &status, __WALL) == id);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

static int tracer(void* arg) {
    struct user_regs_struct r, again;
    for (int i = 0; i < kThreads; i++) {
        CHECK(listed(ids[i]) == 1);
        attach(ids[i]);
    }
    // All stand still.
    unsigned long seen = spins;
    usleep(20000);
    CHECK(seen == spins);
    for (int i = 0; i < kThreads; i++) {
        CHECK_OK(trace(PTRACE_GETREGS, ids[i], NULL, &r));
        struct iovec v = {&again, sizeof again};
        CHECK_OK(trace(PTRACE_GETREGSET, ids[i], (void*)NT_PRSTATUS, &v));
        CHECK(v.iov_len == sizeof again && r.rip == again.rip && r.rsp == again.rsp && r.rbx == again.rbx);
        CHECK(*(unsigned long*)r.fs_base == r.fs_base);  // a libc's thread block begins with its own address
        unsigned long word;
        CHECK_OK(trace(PTRACE_PEEKDATA, ids[i], (void*)r.rsp, &word));
        CHECK(word == *(unsigned long*)r.rsp);
        if (i == kWaits) CHECK(r.r12 == kMark);
        static char extended[16384];
        v = (struct iovec){extended, sizeof extended};
        CHECK_OK(trace(PTRACE_GETREGSET, ids[i], (void*)NT_X86_XSTATE, &v));
        CHECK(v.iov_len >= 576 && v.iov_len < sizeof extended);
    }
    // One goes on, still traced: its signals come here first.
    CHECK_OK(trace(PTRACE_CONT, ids[kSpins], NULL, NULL));
    while (seen == spins) usleep(1000);
    for (int pass = 0; pass < 2; pass++) {
        CHECK_OK(syscall(SYS_tgkill, self, ids[kSpins], SIGUSR1));
        int status;
        CHECK(waitpid(ids[kSpins], &status, __WALL) == ids[kSpins]);
        CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
        CHECK(handled == 0);
        CHECK_OK(trace(pass ? PTRACE_DETACH : PTRACE_CONT, ids[kSpins], NULL, pass ? (void*)SIGUSR1 : NULL));
    }
    while (!__atomic_load_n(&handled, __ATOMIC_SEQ_CST)) usleep(1000);
    for (int i = 0; i < kThreads; i++)
        if (i != kSpins) CHECK_OK(trace(PTRACE_DETACH, ids[i], NULL, NULL));
    CHECK(trace(PTRACE_DETACH, ids[kReads], NULL, NULL) == -1 && errno == ESRCH);
    syscall(SYS_exit, 5);
    return 0;
}

static int dies_tracing(void* arg) {
    attach(ids[kReads]);
    attach(ids[kSpins]);
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    return 0;
}

int main(void) {
    self = getpid();
    CHECK(!pipe(pipe_ends) && !pipe(other_pipe));
    signal(SIGUSR1, handler);
    pthread_barrier_init(&all_there, NULL, kThreads);
    void* (*const what[])(void*) = {waits, reads, spins_on};
    pthread_t threads[kMain];
    for (int i = 0; i < kMain; i++) CHECK(!pthread_create(&threads[i], NULL, what[i], NULL));
    there(kMain);
    settle();
    char* stack = malloc(262144);
    pid_t p = clone(tracer, stack + 262144, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED | SIGCHLD, NULL);
    CHECK_OK(p);
    CHECK_EXIT(p, 5);
    CHECK(handled == 1);

    p = clone(dies_tracing, stack + 262144, CLONE_VM | SIGCHLD, NULL);
    CHECK_OK(p);
    int status;
    CHECK(waitpid(p, &status, 0) == p && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    unsigned long seen = spins;
    while (seen == spins) usleep(1000);

    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    CHECK(write(pipe_ends[1], "x", 1) == 1);
    CHECK(write(other_pipe[1], "y", 1) == 1);
    for (int i = 0; i < kMain; i++) CHECK(!pthread_join(threads[i], NULL));
    say("done");
    return 0;
}
