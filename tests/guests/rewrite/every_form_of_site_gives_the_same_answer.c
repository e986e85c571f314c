// every_form_of_site_gives_the_same_answer.c - what stands before a hot system call is moved, and still does what it did.
// TEST: link=dynamic,static
#include "check.h"

static int fds[2];
static char byte;

// `mov $number,%eax` directly before it
__attribute__((noinline)) static long direct(void) {
    long r;
    __asm__ volatile("mov $102, %%eax\n syscall" : "=a"(r) : : "rcx", "r11", "memory");
    return r;
}

// the number comes first, short instructions follow
__attribute__((noinline)) static long upstream(const void* p, long n) {
    long r;
    __asm__ volatile(
        "mov $1, %%eax\n"
        "mov %[fd], %%edi\n"
        "mov %[p], %%rsi\n"
        "mov %[n], %%rdx\n"
        "syscall"
        : "=&a"(r)
        : [fd] "r"(fds[1]), [p] "r"(p), [n] "r"(n)
        : "rcx", "r11", "rdi", "rsi", "rdx", "memory");
    return r;
}

// a RIP-relative operand among what is moved
__attribute__((used)) static long number = SYS_read;
__attribute__((noinline)) static long rip_relative(void* p, long n) {
    long r;
    __asm__ volatile(
        "mov number(%%rip), %%rax\n"
        "xor %%r10d, %%r10d\n"
        "syscall"
        : "=&a"(r)
        : "D"((long)fds[0]), "S"(p), "d"(n)
        : "rcx", "r11", "r10", "memory");
    return r;
}

// a branch out of what is moved, taken and not taken
__attribute__((noinline)) static long side_branch(long which) {
    long r;
    __asm__ volatile(
        "mov $-1234, %%rax\n"
        "test %[which], %[which]\n"
        "jz 1f\n"
        "mov $102, %%al\n"
        "movzbl %%al, %%eax\n"
        "syscall\n"
        "1:\n"
        : "=&a"(r)
        : [which] "r"(which)
        : "rcx", "r11", "memory", "cc");
    return r;
}

// only short instructions: several become the jump; a second way in begins in their middle
__attribute__((noinline, naked)) static long window(long nr __attribute__((unused)), long into_the_middle __attribute__((unused))) {
    __asm__ volatile(
        "test %rsi, %rsi\n"
        "mov %rdi, %rcx\n"
        "jnz 1f\n"
        "nop\n nop\n nop\n"
        "jmp 2f\n"
        "2: mov %rcx, %rdx\n"
        "1: mov %rcx, %rax\n"
        "syscall\n"
        "ret\n");
}

// nothing may be moved: a call ends just before it
__attribute__((noinline, naked, used)) static long nothing(void) { __asm__ volatile("ret"); }
__attribute__((noinline, naked)) static long immovable(long nr __attribute__((unused))) {
    __asm__ volatile(
        "push %rbx\n"
        "mov %rdi, %rbx\n"
        "call nothing\n"
        "xchg %eax, %ebx\n"
        "syscall\n"
        "pop %rbx\n"
        "ret\n");
}

// a loop whose head is the system call itself: the way back does not pass the moved instruction
__attribute__((noinline)) static long loop(long rounds) {
    long sum = 0, left = rounds;
    __asm__ volatile(
        "mov $102, %%eax\n"
        "1: syscall\n"
        "add %%rax, %[sum]\n"
        "mov $102, %%al\n"
        "movzbl %%al, %%eax\n"
        "dec %[left]\n"
        "jnz 1b\n"
        : [sum] "+&r"(sum), [left] "+&r"(left)
        :
        : "rax", "rcx", "r11", "memory", "cc");
    return sum;
}

static void* all(void* arg) {
    long uid = getuid();
    for (int i = 0; i < 300; i++) {
        CHECK_EQ(direct(), uid);
        CHECK_EQ(side_branch(0), -1234);
        CHECK_EQ(side_branch(1), uid);
        CHECK_EQ(window(SYS_getuid, 0), uid);
        CHECK_EQ(window(SYS_getuid, 1), uid);
        CHECK_EQ(window(SYS_sched_yield, i & 1), 0);
        CHECK_EQ(immovable(SYS_sched_yield), 0);
        CHECK_EQ(loop(3), 3 * uid);
        if (arg) continue;
        CHECK_EQ(upstream(&byte, 1), 1);
        CHECK_EQ(rip_relative(&byte, 1), 1);
        CHECK_EQ(upstream((void*)8, 1), -EFAULT);
        CHECK_EQ(rip_relative(&byte, 0), 0);
    }
    return NULL;
}

int main(void) {
    make_pipe(fds);
    all(NULL);
    pthread_t t[8];
    for (int i = 0; i < 8; i++) t[i] = start(all, &byte);
    all(NULL);
    for (int i = 0; i < 8; i++) finish(t[i]);
    say("ok");
}
