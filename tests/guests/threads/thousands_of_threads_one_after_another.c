// thousands_of_threads_one_after_another.c - 3,000 create+join, and 200 generations of children of children; nothing
// leaks.
#include "check.h"

static void* add(void* arg) {
    return (char*)arg + 1;
}

static void* chain(void* arg) {
    long depth = (long)arg;
    return depth == 0 ? NULL : (char*)finish(start(chain, (void*)(depth - 1))) + 1;
}

static void* tree(void* arg) {
    long depth = (long)arg;
    if (depth == 0) return (void*)1;
    pthread_t a = start(tree, (void*)(depth - 1)), b = start(tree, (void*)(depth - 1));
    return (void*)((long)finish(a) + (long)finish(b));
}

int main(void) {
    for (long i = 0; i < 3000; i++) CHECK_EQ((long)finish(start(add, (void*)i)), i + 1);
    say("chain %ld", (long)finish(start(chain, (void*)200)));
    say("tree %ld", (long)finish(start(tree, (void*)7)));
}
