// handler_may_change_floating_point_state.c - what a handler writes to its frame's x87 and SSE state is there afterwards, at call sites
// of every age; and what it finds there is what the thread had.
// TEST: link=dynamic,static
#include "check.h"

static unsigned short found, wanted;

static void on_usr1(int sig, siginfo_t* info, void* context) {
    struct _libc_fpstate* f = ((ucontext_t*)context)->uc_mcontext.fpregs;
    found = f->cwd;
    f->cwd = wanted;
    f->mxcsr ^= 0x6000;
}

static unsigned short control(void) {
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}
static unsigned sse_control(void) {
    unsigned word;
    __asm__ volatile("stmxcsr %0" : "=m"(word));
    return word;
}

static void* all(void* arg) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (int i = 0; i < 200; i++) {
        unsigned short before = control();
        unsigned sse = sse_control();
        wanted = before == 0x37f ? 0x0f7f : 0x37f;
        // the same few sites again and again: by and by they are rewritten
        CHECK_EQ(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1), 0);
        CHECK_EQ(found, before);
        CHECK_EQ(control(), wanted);
        CHECK_EQ(sse_control() & 0x6000, (sse ^ 0x6000) & 0x6000);
    }
    return NULL;
}

int main(void) {
    struct sigaction act = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    all(NULL);
    finish(start(all, NULL));
    say("ok");
}
