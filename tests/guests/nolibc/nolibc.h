// nolibc.h - system calls, an entry point and raw threads for guests that have no libc at all.
#pragma once
#include <stdint.h>

typedef unsigned long word;

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define sys(nr, a, b, c) sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys4(nr, a, b, c, d) sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

enum {
    NR_read = 0,
    NR_write = 1,
    NR_close = 3,
    NR_poll = 7,
    NR_mmap = 9,
    NR_rt_sigaction = 13,
    NR_rt_sigprocmask = 14,
    NR_pipe = 22,
    NR_sched_yield = 24,
    NR_nanosleep = 35,
    NR_getpid = 39,
    NR_clone = 56,
    NR_fork = 57,
    NR_execve = 59,
    NR_exit = 60,
    NR_wait4 = 61,
    NR_kill = 62,
    NR_gettid = 186,
    NR_futex = 202,
    NR_clock_gettime = 228,
    NR_exit_group = 231,
    NR_tgkill = 234,
    NR_pipe2 = 293,
};

static inline word length_of(const char* s) {
    word n = 0;
    while (s[n]) n++;
    return n;
}

static inline void say(const char* text) {
    sys(NR_write, 1, text, length_of(text));
}

static inline void say_number(const char* before, long n) {
    char line[128];
    word at = 0;
    char digits[24];
    int d = 0;
    while (before[at] && at < 90) line[at] = before[at], at++;
    if (n < 0) line[at++] = '-', n = -n;
    do digits[d++] = '0' + n % 10;
    while (n /= 10);
    while (d) line[at++] = digits[--d];
    line[at++] = '\n';
    sys(NR_write, 1, line, at);
}

static inline void check_at(int ok, int line) {
    if (ok) return;
    say_number("failed in line ", line);
    sys(NR_exit_group, 1, 0, 0);
}
#define CHECK(cond) check_at((cond) ? 1 : 0, __LINE__)

static inline void futex_wait(int* p, int value) {
    sys4(NR_futex, p, 0, value, 0);
}
static inline void futex_wake(int* p, int count) {
    sys4(NR_futex, p, 1, count, 0);
}

struct raw_thread {
    int tid;  // cleared and woken by the kernel at the thread's end
    void (*function)(void*);
    void* arg;
    char* stack;
};

enum { RAW_STACK = 65536 };

// CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM|PARENT_SETTID|CHILD_CLEARTID, no TLS
long raw_clone(word flags, void* stack, int* parent_tid, int* child_tid);
__asm__(
    ".text\n"
    ".globl raw_clone\n"
    "raw_clone:\n"
    "mov %rcx, %r10\n"
    "mov $56, %eax\n"
    "xor %r8d, %r8d\n"
    "syscall\n"
    "test %rax, %rax\n"
    "jnz 1f\n"
    "xor %ebp, %ebp\n"
    "pop %rax\n"  // the function
    "pop %rdi\n"  // its argument
    "call *%rax\n"
    "mov $60, %eax\n"
    "xor %edi, %edi\n"
    "syscall\n"
    "1: ret\n");

static inline void raw_start(struct raw_thread* t, void (*function)(void*), void* arg) {
    if (!t->stack) t->stack = (char*)sys6(NR_mmap, 0, RAW_STACK, 3, 0x22, -1, 0);
    word* top = (word*)(t->stack + RAW_STACK);
    *--top = 0;
    *--top = 0;
    *--top = (word)arg;
    *--top = (word)function;
    long tid = raw_clone(0x350f00, top, &t->tid, &t->tid);
    check_at(tid > 0, __LINE__);
}

static inline void raw_join(struct raw_thread* t) {
    for (int tid; (tid = __atomic_load_n(&t->tid, __ATOMIC_SEQ_CST)) != 0;) futex_wait(&t->tid, tid);
}

int guest_main(long argc, char** argv, char** envp);
__attribute__((used)) static void begin(word* stack) {
    long argc = (long)stack[0];
    char** argv = (char**)(stack + 1);
    sys(NR_exit_group, guest_main(argc, argv, argv + argc + 1), 0, 0);
}
__asm__(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");

// the compiler may call these
__attribute__((used)) void* memset(void* p, int c, word n) {
    for (word i = 0; i < n; i++) ((volatile char*)p)[i] = (char)c;
    return p;
}
__attribute__((used)) void* memcpy(void* to, const void* from, word n) {
    for (word i = 0; i < n; i++) ((volatile char*)to)[i] = ((const char*)from)[i];
    return to;
}
