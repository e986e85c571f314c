// alternate_stack_handles_a_stack_overflow.c - SA_ONSTACK on its own stack per thread; sigaltstack's answers;
// overflow is survived.
#include <setjmp.h>
#include <ucontext.h>

#include "check.h"

enum { SIZE = 64 * 1024 };
static __thread char* base;
static __thread sigjmp_buf env;

static void on_stack(int sig) {
    char here;
    CHECK(&here > base && &here < base + SIZE);
    stack_t now;
    CHECK_OK(sigaltstack(NULL, &now));
    CHECK_EQ(now.ss_flags, SS_ONSTACK);
    CHECK(now.ss_sp == base);
    stack_t other = {.ss_sp = base, .ss_size = SIZE};
    CHECK_ERR(sigaltstack(&other, NULL), EPERM);
    if (sig == SIGSEGV) siglongjmp(env, 1);
}

static void not_on_stack(int sig) {
    char here;
    CHECK(!(&here > base && &here < base + SIZE));
}

static int recurse(int n) {
    volatile char frame[1024];
    frame[0] = n;
    return n < 0 ? 0 : recurse(n + 1) + frame[0];
}

static void* all(void* arg) {
    stack_t stack = {.ss_size = SIZE}, old;
    CHECK_OK(sigaltstack(NULL, &old));
    CHECK_EQ(old.ss_flags, SS_DISABLE);
    base = stack.ss_sp = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_OK(sigaltstack(&stack, &old));
    CHECK_OK(sigaltstack(NULL, &old));
    CHECK(old.ss_sp == base && old.ss_size == SIZE && old.ss_flags == 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(env, 1) == 0) recurse(0);
        CHECK_OK(sigaltstack(NULL, &old));
        CHECK_EQ(old.ss_flags, 0);
    }
    stack_t small = {.ss_sp = base, .ss_size = 100}, wrong = {.ss_sp = base, .ss_size = SIZE, .ss_flags = 77};
    CHECK_ERR(sigaltstack(&small, NULL), ENOMEM);
    CHECK_ERR(sigaltstack(&wrong, NULL), EINVAL);
    stack_t off = {.ss_flags = SS_DISABLE};
    CHECK_OK(sigaltstack(&off, NULL));
    munmap(base, SIZE);
    return NULL;
}

int main(void) {
    handle(SIGUSR1, on_stack, SA_ONSTACK);
    handle(SIGUSR2, not_on_stack, 0);
    handle(SIGSEGV, on_stack, SA_ONSTACK);
    all(NULL);
    pthread_t t[6];
    for (int i = 0; i < 6; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 6; i++) finish(t[i]);
    say("ok");
}
