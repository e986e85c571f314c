// handler_may_jump_away.c - siglongjmp out of handlers: of faults, of interrupted waits, out of nested ones, from an
// alt stack.
// TEST: link=dynamic,static
#include <setjmp.h>

#include "check.h"

static __thread sigjmp_buf env;
static __thread volatile int jumps;

static void jump(int sig) {
    siglongjmp(env, sig);
}
static void nest(int sig) {
    raise(SIGUSR1);
    _exit(3);
}

static void* all(void* arg) {
    for (int i = 0; i < 200; i++) {
        int sig = sigsetjmp(env, 1);
        if (sig == 0) {
            switch (i % 3) {
                case 0:
                    *(volatile int*)(long)(8 + i) = 1;
                    break;
                case 1:
                    raise(SIGUSR1);
                    break;
                case 2:
                    raise(SIGUSR2);
                    break;  // its handler raises SIGUSR1
            }
            _exit(4);
        }
        CHECK_EQ(sig, i % 3 ? SIGUSR1 : SIGSEGV);
        jumps++;
    }
    sigset_t now;
    CHECK_0(pthread_sigmask(SIG_BLOCK, NULL, &now));
    CHECK(!sigismember(&now, SIGSEGV) && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
    return (void*)(long)jumps;
}

static void* jump_out_of_waits(void* arg) {
    int fds[2];
    char c;
    make_pipe(fds);
    for (volatile int i = 0; i < 10; i++) {
        if (sigsetjmp(env, 1) == 0) {
            timer_t timer;
            struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
            event._sigev_un._tid = gettid();
            struct itimerspec soon = {{0, 0}, {0, 5000000}};
            CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
            CHECK_OK(timer_settime(timer, 0, &soon, NULL));
            if (i % 2) {
                sleep(100);
            } else {
                read(fds[0], &c, 1);
            }
            _exit(5);
        }
    }
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(read(fds[0], &c, 1), 1);  // nobody swallowed it
    return NULL;
}

int main(void) {
    handle(SIGSEGV, jump, 0);
    handle(SIGUSR1, jump, 0);
    handle(SIGUSR2, nest, 0);
    say("%ld jumps", (long)all(NULL));
    pthread_t t[8];
    for (int i = 0; i < 8; i++) t[i] = start(all, NULL);
    for (int i = 0; i < 8; i++) CHECK_EQ((long)finish(t[i]), 200);
    jump_out_of_waits(NULL);
    for (int i = 0; i < 4; i++) t[i] = start(jump_out_of_waits, NULL);
    for (int i = 0; i < 4; i++) finish(t[i]);
    say("ok");
}
