// TEST: link=dynamic,static,musl
// A thread that overruns its stack gets SIGSEGV in its guard, on the alternate stack, with the true address; its own idea of
// its stack fits; the other threads live on.
#include "../check.h"

#include <setjmp.h>

static __thread sigjmp_buf back;
static __thread char* place;
static __thread int code;

static void on_fault(int sig, siginfo_t* info, void* context) {
    place = info->si_addr;
    code = info->si_code;
    siglongjmp(back, 1);
}

__attribute__((noinline)) static long deeper(volatile char* above) {
    volatile char frame[512];
    frame[0] = above ? above[0] : 0;
    return frame[0] == 1 ? 0 : deeper(frame) + frame[0];
}

static void* overrun(void* arg) {
    pthread_attr_t attr;
    void* low;
    size_t bytes, guard;
    CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
    CHECK_EQ(pthread_attr_getstack(&attr, &low, &bytes), 0);
    CHECK_EQ(pthread_attr_getguardsize(&attr, &guard), 0);
    pthread_attr_destroy(&attr);
    CHECK((char*)&attr > (char*)low && (char*)&attr < (char*)low + bytes);
    if (arg) CHECK_EQ(guard, (long)arg);
    stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
    CHECK_OK(sigaltstack(&alt, NULL));
    for (int i = 0; i < 3; i++) {
        if (!sigsetjmp(back, 1)) deeper(NULL);
        CHECK_EQ(code, SEGV_ACCERR);
        // the guard lies below the usable part, or (older accounts of it) is the lowest of it
        CHECK(place < (char*)low + guard && place >= (char*)low - guard);
    }
    alt.ss_flags = SS_DISABLE;
    CHECK_OK(sigaltstack(&alt, NULL));
    return NULL;
}

int main(void) {
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    CHECK_OK(sigaction(SIGSEGV, &act, NULL));
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    CHECK_EQ(pthread_attr_setstacksize(&attr, 256 * 1024), 0);
    for (long guard = 0; guard <= 65536; guard = guard ? guard * 4 : 4096) {  // 0: what the libc gives by itself
        if (guard) CHECK_EQ(pthread_attr_setguardsize(&attr, (size_t)guard), 0);
        pthread_t t[4];
        for (int i = 0; i < 4; i++) CHECK_EQ(pthread_create(&t[i], &attr, overrun, (void*)guard), 0);
        for (int i = 0; i < 4; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    }
    return 0;
}
