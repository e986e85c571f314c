// registers_survive_system_calls.c - only rax, rcx and r11 change; flags, xmm, ymm, mxcsr, x87 and the red zone stay.
// TEST: link=dynamic,static,nopie
#include <immintrin.h>

#include "check.h"

struct state {
    uint64_t r[16], flags;
};

// runs the syscall with every register set to a pattern and stores what it finds afterwards
__attribute__((naked)) static long call_with_patterns(struct state* before, struct state* after) {
    __asm__ volatile(
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "push %rsi\n"
        "mov 24(%rdi), %rbx; mov 40(%rdi), %rbp\n"
        "mov 16(%rdi), %rdx; mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9; mov 80(%rdi), %r10\n"
        "mov 96(%rdi), %r12; mov 104(%rdi), %r13; mov 112(%rdi), %r14; mov 120(%rdi), %r15\n"
        "pushq 128(%rdi); popfq\n"
        "mov 0(%rdi), %rax\n"
        "mov 56(%rdi), %rdi\n"
        "movq $0x5a5a5a5a, -8(%rsp)\n"
        "movq $0x6b6b6b6b, -128(%rsp)\n"
        "syscall\n"
        "pushfq; pop %rcx\n"  // writes -8(%rsp): the red zone check leaves that slot out
        "cld\n"
        "mov (%rsp), %r11\n"
        "mov %rax, 0(%r11); mov %rdx, 16(%r11); mov %rbx, 24(%r11); mov %rbp, 40(%r11); mov %rsi, 48(%r11)\n"
        "mov %rdi, 56(%r11); mov %r8, 64(%r11); mov %r9, 72(%r11); mov %r10, 80(%r11); mov %r12, 96(%r11)\n"
        "mov %r13, 104(%r11); mov %r14, 112(%r11); mov %r15, 120(%r11); mov %rcx, 128(%r11)\n"
        "mov -128(%rsp), %rcx; mov %rcx, 8(%r11)\n"
        "pop %rsi\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n");
}

static void check_general(long number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, long want) {
    static const uint64_t flag_patterns[] = {0x202, 0x202 | 0x1 | 0x40 | 0x80 | 0x800, 0x202 | 0x400 | 0x4 | 0x10};
    for (int f = 0; f < 3; f++) {
        struct state b, a;
        memset(&a, 0, sizeof a);
        for (int i = 0; i < 16; i++) b.r[i] = 0x1111111111111111ull * i + f;
        b.r[0] = number;
        b.r[7] = a0;
        b.r[6] = a1;
        b.r[2] = a2;
        b.r[10] = a3;
        b.flags = flag_patterns[f];
        call_with_patterns(&b, &a);
        CHECK_EQ(a.r[0], want);
        for (int i = 2; i < 16; i++)
            if (i != 4 && i != 11) CHECK_EQ(a.r[i], b.r[i]);
        CHECK_EQ(a.flags & 0xcd5, b.flags & 0xcd5);  // carry, parity, adjust, zero, sign, direction, overflow
        CHECK_EQ(a.r[1], 0x6b6b6b6b);
    }
}

__attribute__((target("avx"))) static void check_vectors(int park) {
    unsigned in[16][8], out[16][8];
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 8; j++) in[i][j] = 0x01000193u * (i * 8 + j + park + gettid());
    unsigned csr = _mm_getcsr(), other = csr ^ 0x6000;
    unsigned short control, other_control = 0x0f7f;
    __asm__ volatile("fnstcw %0" : "=m"(control));
    struct timespec t = {0, 300000};
    register long number __asm__("rax") = park ? SYS_nanosleep : SYS_sched_yield;
    __asm__ volatile(
        "vmovups 0(%[in]), %%ymm0; vmovups 32(%[in]), %%ymm1; vmovups 64(%[in]), %%ymm2; vmovups 96(%[in]), %%ymm3\n"
        "vmovups 128(%[in]), %%ymm4; vmovups 160(%[in]), %%ymm5; vmovups 192(%[in]), %%ymm6; vmovups 224(%[in]), "
        "%%ymm7\n"
        "vmovups 256(%[in]), %%ymm8; vmovups 288(%[in]), %%ymm9; vmovups 320(%[in]), %%ymm10; vmovups 352(%[in]), "
        "%%ymm11\n"
        "vmovups 384(%[in]), %%ymm12; vmovups 416(%[in]), %%ymm13; vmovups 448(%[in]), %%ymm14; vmovups 480(%[in]), "
        "%%ymm15\n"
        "ldmxcsr %[other]; fldcw %[other_control]\n"
        "syscall\n"
        "vmovups %%ymm0, 0(%[out]); vmovups %%ymm1, 32(%[out]); vmovups %%ymm2, 64(%[out]); vmovups %%ymm3, "
        "96(%[out])\n"
        "vmovups %%ymm4, 128(%[out]); vmovups %%ymm5, 160(%[out]); vmovups %%ymm6, 192(%[out]); vmovups %%ymm7, "
        "224(%[out])\n"
        "vmovups %%ymm8, 256(%[out]); vmovups %%ymm9, 288(%[out]); vmovups %%ymm10, 320(%[out]); vmovups %%ymm11, "
        "352(%[out])\n"
        "vmovups %%ymm12, 384(%[out]); vmovups %%ymm13, 416(%[out]); vmovups %%ymm14, 448(%[out]); vmovups %%ymm15, "
        "480(%[out])\n"
        "vzeroupper\n"
        : "+r"(number)
        : [in] "r"(in), [out] "r"(out), [other] "m"(other), [other_control] "m"(other_control), "D"(&t), "S"(0L)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
          "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    CHECK_EQ(number, 0);
    CHECK_EQ(_mm_getcsr() & ~0x3f, other & ~0x3f);
    unsigned short now;
    __asm__ volatile("fnstcw %0" : "=m"(now));
    CHECK_EQ(now, other_control);
    _mm_setcsr(csr);
    __asm__ volatile("fldcw %0" : : "m"(control));
    CHECK(memcmp(in, out, sizeof in) == 0);
}

static void* all(void* arg) {
    struct timespec t = {0, 200000};
    int fds[2];
    char c = 'x';
    make_pipe(fds);
    for (int i = 0; i < 50; i++) {
        check_general(SYS_getppid, 1, 2, 3, 4, getppid());
        check_general(SYS_sched_yield, 1, 2, 3, 4, 0);
        check_general(SYS_nanosleep, (uintptr_t)&t, 0, 3, 4, 0);
        check_general(SYS_write, fds[1], (uintptr_t)&c, 1, 4, 1);
        check_general(SYS_read, fds[0], (uintptr_t)&c, 1, 4, 1);
        check_general(SYS_futex, 8, 99, 0, 4, -ENOSYS);
        check_general(SYS_poll, 0, 0, 0, 4, 0);
        if (__builtin_cpu_supports("avx")) {
            check_vectors(0);
            check_vectors(1);
        }
    }
    return NULL;
}

int main(void) {
    all(NULL);
    pthread_t t[8];
    for (int i = 0; i < 8; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 8; i++) finish(t[i]);
    say("ok");
}
