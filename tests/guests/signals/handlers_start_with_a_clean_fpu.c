// A handler starts with the initial x87 and SSE state, whatever the interrupted code had set; sigreturn brings that
// back.
#include <xmmintrin.h>

#include "../check.h"

static volatile unsigned control, sse, tags;

static void handler(int sig) {
    unsigned short c;
    unsigned char environment[28];
    __asm__ volatile("fnstcw %0; fnstenv %1" : "=m"(c), "=m"(environment));
    control = c;
    sse = _mm_getcsr();
    tags = *(unsigned short*)(environment + 8);
}

int main(void) {
    handle(SIGUSR1, handler, 0);
    unsigned short c = 0x27f;
    _mm_setcsr(0x9f80);
    __asm__ volatile("fldcw %0; fld1; fld1; fld1" ::"m"(c));
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    __asm__ volatile("fnstcw %0; fninit" : "=m"(c));
    CHECK_EQ(control, 0x37f);
    CHECK_EQ(sse, 0x1f80);
    CHECK_EQ(tags, 0xffff);
    CHECK_EQ(c, 0x27f);
    CHECK_EQ(_mm_getcsr(), 0x9f80);
    say("ok");
}
