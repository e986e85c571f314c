// handler_may_change_registers.c - it steps over a faulting instruction, sets the result, changes the mask that
// comes back.
// TEST: link=dynamic,static,musl
#include <ucontext.h>

#include "check.h"

static volatile int faults;
static uintptr_t fault_address, fault_ip;
extern char faulting_load[], after_load[];

static void step_over(int sig, siginfo_t* info, void* context) {
    ucontext_t* u = context;
    faults++;
    fault_address = (uintptr_t)info->si_addr;
    fault_ip = u->uc_mcontext.gregs[REG_RIP];
    u->uc_mcontext.gregs[REG_RAX] = 12345;
    u->uc_mcontext.gregs[REG_RIP] = (uintptr_t)after_load;
}

__attribute__((noinline)) static long load(long address) {
    long result;
    __asm__ volatile(".globl faulting_load, after_load\nfaulting_load: movq (%1), %0\nafter_load:"
                     : "=a"(result)
                     : "r"(address)
                     : "memory");
    return result;
}

static void change_mask(int sig, siginfo_t* info, void* context) {
    ucontext_t* u = context;
    sigaddset(&u->uc_sigmask, SIGUSR2);
    u->uc_mcontext.gregs[REG_R12] ^= 0xff00;
}

static long with_r12(long value) {
    register long r12 __asm__("r12") = value;
    pid_t pid = getpid(), tid = gettid();
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result), "+r"(r12)
                     : "a"(SYS_tgkill), "D"(pid), "S"(tid), "d"(SIGUSR1)
                     : "rcx", "r11", "memory");
    CHECK_EQ(result, 0);
    return r12;
}

static void* all(void* arg) {
    faults = 0;
    CHECK_EQ(load(0x10), 12345);
    CHECK_EQ(faults, 1);
    CHECK_EQ(fault_address, 0x10);
    CHECK_EQ(fault_ip, (uintptr_t)faulting_load);
    CHECK_EQ(load((long)0x800000000000000), 12345);  // not canonical
    CHECK_EQ(faults, 2);
    long fine = 99;
    CHECK_EQ(load((long)&fine), 99);
    CHECK_EQ(with_r12(0x1234), 0x1234 ^ 0xff00);
    sigset_t now;
    CHECK_0(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR2) && !sigismember(&now, SIGUSR1));
    return NULL;
}

int main(void) {
    handle_info(SIGSEGV, step_over, 0);
    handle_info(SIGUSR1, change_mask, 0);
    all(NULL);
    sigset_t none = signal_set(0, 0);
    CHECK_0(pthread_sigmask(SIG_SETMASK, &none, NULL));
    finish(start(all, NULL));
    say("ok");
}
