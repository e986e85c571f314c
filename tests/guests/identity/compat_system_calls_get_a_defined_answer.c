// compat_system_calls_get_a_defined_answer.c - int $0x80 and x32 numbers: a result or -ENOSYS, never a death by
// signal where the kernel has the entry.
// TEST: native-differs="a_kernel_with_the_i386_entry_answers" link=dynamic,static
#include <setjmp.h>

#include "check.h"

static sigjmp_buf no_entry;

static void on_fault(int sig) {
    (void)sig;
    siglongjmp(no_entry, 1);
}

int main(void) {
    long result = 20;  // getpid of i386
    // Some kernels, those of virtual machines without hardware support among them, do not have the entry: then it is a fault.
    signal(SIGSEGV, on_fault);
    if (!sigsetjmp(no_entry, 1)) {
        __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
        CHECK(result == getpid() || result == -ENOSYS);
    }
    result = 0x40000000 + SYS_getpid;
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
    CHECK(result == getpid() || result == -ENOSYS);
    say(result == -ENOSYS ? "ENOSYS" : "answered");
}
