// busy_threads_share_the_processor.c - threads that spin on each other's flags without a syscall all get on.
// TEST: needs=preemption
#include "check.h"

enum { N = 6, TURNS = 10 };
static volatile int turn;

static void* take_turns(void* arg) {
    for (int i = 0; i < TURNS; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) % N != (long)arg) __builtin_ia32_pause();
        __atomic_add_fetch(&turn, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

int main(void) {
    pthread_t t[N];
    for (long i = 0; i < N; i++) t[i] = start(take_turns, (void*)i);
    for (int i = 0; i < N; i++) finish(t[i]);
    say("turns %d", turn);
}
