// atfork_handlers_run_in_order.c - pthread_atfork handlers run around a fork called from a thread, last prepare
// first.
#include "check.h"

static char story[64];
static void prepare_1(void) {
    strcat(story, "prepare1 ");
}
static void prepare_2(void) {
    strcat(story, "prepare2 ");
}
static void parent_1(void) {
    strcat(story, "parent1 ");
}
static void parent_2(void) {
    strcat(story, "parent2 ");
}
static void child_1(void) {
    strcat(story, "child1 ");
}
static void child_2(void) {
    strcat(story, "child2 ");
}

static void* fork_here(void* arg) {
    pid_t child = fork();
    CHECK_OK(child);
    if (child == 0) {
        say("%s", story);
        _exit(0);
    }
    CHECK_EXIT(child, 0);
    say("%s", story);
    return NULL;
}

int main(void) {
    pthread_atfork(prepare_1, parent_1, child_1);
    pthread_atfork(prepare_2, parent_2, child_2);
    finish(start(fork_here, NULL));
}
