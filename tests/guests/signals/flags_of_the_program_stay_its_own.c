// flags_of_the_program_stay_its_own.c - system calls made with the flags AC (alignment check) or NT (nested task) set return with them set.
// (Some hypervisors' kernels lose NT in any call: there is nothing to keep then. What the kernel does tells a call that is not hooked.)
#include "check.h"

__attribute__((noinline)) static long call_with(long flag, long nr, long* after) {
    long r, flags;
    __asm__ volatile(
        "pushfq\n orq %3, (%%rsp)\n popfq\n syscall\n pushfq\n movq (%%rsp), %1\n andq %4, (%%rsp)\n popfq"
        : "=a"(r), "=&r"(flags)
        : "0"(nr), "r"(flag), "r"(~flag), "D"(-1L), "S"(0L), "d"(0L)
        : "rcx", "r11", "cc", "memory");
    *after = flags & flag;
    return r;
}

int main(void) {
    const long kAlignmentCheck = 0x40000, kNestedTask = 0x4000;
    const long flags[] = {kAlignmentCheck, kNestedTask};
    // Before any hooked call: none of these system call instructions has been rewritten yet.
    long kept[2];
    for (int f = 0; f < 2; f++) call_with(flags[f], SYS_sched_get_priority_max, &kept[f]);
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < 50 && kept[f]; i++) {
            long after;
            CHECK_EQ(call_with(flags[f], SYS_gettid, &after), syscall(SYS_gettid));
            CHECK_EQ(after, flags[f]);
            CHECK_EQ(call_with(flags[f], SYS_dup2, &after), -EBADF);
            CHECK_EQ(after, flags[f]);
            CHECK_EQ(call_with(flags[f], SYS_getppid, &after), getppid());
            CHECK_EQ(after, flags[f]);
        }
    say("ok");
}
