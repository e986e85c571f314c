// red_zone_is_not_touched_by_signals.c - 128 bytes below rsp keep their values while handlers run on the same stack.
#include "check.h"

static volatile int hits;
static void hit(int sig) {
    volatile char use[512];
    for (int i = 0; i < 512; i++) use[i] = -1;
    hits += use[7] != 0;
}

// fills the red zone, waits for handlers, compares; returns 0 when all is well
__attribute__((naked, noinline)) static long spin_on_red_zone(volatile int* counter, int target) {
    __asm__ volatile(
        "xor %eax, %eax\n"
        "1: mov $16, %ecx\n"
        "lea -128(%rsp), %rdx\n"
        "2: mov %rcx, -8(%rdx,%rcx,8)\n"
        "loop 2b\n"
        "mov (%rdi), %r8d\n"
        "3: cmp (%rdi), %r8d\n"
        "je 3b\n"
        "mov $16, %ecx\n"
        "4: cmp %rcx, -8(%rdx,%rcx,8)\n"
        "jne 5f\n"
        "loop 4b\n"
        "cmp %esi, (%rdi)\n"
        "jl 1b\n"
        "ret\n"
        "5: inc %eax\n"
        "ret\n");
}

int main(void) {
    handle(SIGALRM, hit, 0);
    struct itimerval every = {{0, 500}, {0, 500}};
    CHECK_OK(setitimer(ITIMER_REAL, &every, NULL));
    CHECK_EQ(spin_on_red_zone(&hits, 200), 0);
    say("ok");
}
