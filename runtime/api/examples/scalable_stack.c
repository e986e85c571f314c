// scalable_stack.c - recursion of 50 frames of 10 KiB on stacks of 128 KiB, twice; then from the main thread
#include "example.h"

static void* recurse(void* left) {
    volatile char frame[10 * 1024];
    for (unsigned i = 0; i < sizeof frame; i += 1024) frame[i] = (char)(long)left;
    if (!left) return NULL;
    void* depth;
    // Runs here as long as there is room, else on a further segment.
    MUST(oc_maybe_grow_stack(0, 0, recurse, (void*)((long)left - 1), &depth) == 0);
    return (void*)((long)depth + (frame[1024] == (char)(long)left));
}
static void* twice(void* unused) {
    for (int i = 0; i < 2; i++) MUST((long)recurse((void*)50) == 50);
    return unused;
}

int main(void) {
    oc_config config = OC_CONFIG_INIT;
    config.mode = OC_MODE_PREFER_OCRUN;
    config.stack_bytes = 128 * 1024;
    MUST(oc_init(&config) == 0);
    oc_task* tasks[10];
    for (int i = 0; i < 10; i++) tasks[i] = oc_task_create(twice, NULL, 0);
    for (int i = 0; i < 10; i++) join(tasks[i]);
    twice(NULL);
    finish();
}
