// contexts_can_be_made_and_swapped.c - makecontext and swapcontext on own stacks, with waits inside, in several
// threads.
#include <ucontext.h>

#include "check.h"

enum { SIZE = 64 * 1024, ROUNDS = 20 };
struct task {
    ucontext_t main, other;
    int steps;
    char* stack;
};
static __thread struct task* current;

static void other(void) {
    for (;;) {
        current->steps++;
        if (current->steps % 5 == 0) sleep_ms(1);
        swapcontext(&current->other, &current->main);
    }
}

static void* work(void* arg) {
    struct task t = {.stack = malloc(SIZE)};
    current = &t;
    CHECK_OK(getcontext(&t.other));
    t.other.uc_stack.ss_sp = t.stack;
    t.other.uc_stack.ss_size = SIZE;
    makecontext(&t.other, other, 0);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(swapcontext(&t.main, &t.other));
        CHECK_EQ(t.steps, i + 1);
    }
    free(t.stack);
    return NULL;
}

int main(void) {
    pthread_t t[20];
    for (int i = 0; i < 20; i++) t[i] = start(work, NULL);
    for (int i = 0; i < 20; i++) finish(t[i]);
    say("ok");
}
