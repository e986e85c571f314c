// gs_of_the_guest_survives_hot_sites.c - a program that begins to use GS after its sites became hot keeps its GS.
// TEST: link=dynamic,static
#include <asm/prctl.h>

#include "check.h"

static unsigned long block[2] = {0x1234567890abcdef, 0};

static unsigned long through_gs(void) {
    unsigned long v;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(v));
    return v;
}

int main(void) {
    for (int i = 0; i < 100; i++) CHECK_EQ(sched_yield(), 0);
    CHECK_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, block), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(through_gs(), block[0]);
        CHECK_EQ(sched_yield(), 0);
        struct timespec t = {0, 1000};
        CHECK_EQ(nanosleep(&t, NULL), 0);
    }
    unsigned long base;
    CHECK_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &base), 0);
    CHECK(base == (unsigned long)block);
    CHECK_EQ(through_gs(), block[0]);
    say("ok");
}
