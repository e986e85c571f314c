// segment_bases_can_be_read_and_set.c - arch_prctl GET/SET of FS and GS; a thread's own GS survives waits and other
// threads.
#include <asm/prctl.h>

#include "check.h"

static void* own_gs(void* arg) {
    static long cells[16];
    long* cell = &cells[(long)arg];
    *cell = 1000 + (long)arg;
    unsigned long fs, gs;
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
    CHECK_EQ(fs, (unsigned long)pthread_self());
    CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, cell));
    for (int i = 0; i < 20; i++) {
        long value;
        __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
        CHECK_EQ(value, 1000 + (long)arg);
        if (i % 3 == 0) sleep_ms(1);
        sched_yield();
        CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
        CHECK_EQ(gs, (uintptr_t)cell);
    }
    return NULL;
}

int main(void) {
    pthread_t t[16];
    for (long i = 0; i < 16; i++) t[i] = start(own_gs, (void*)i);
    for (int i = 0; i < 16; i++) finish(t[i]);
    CHECK_ERR(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
    CHECK_ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
    CHECK_ERR(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffff800000000000), EPERM);
    say("ok");
}
