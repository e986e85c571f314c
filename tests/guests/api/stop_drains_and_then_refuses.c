// stop_drains_and_then_refuses.c - oc_stop waits for all tasks, lets none begin, and the framework can start again
// TEST: libs=ocrun_shared
#include "api.h"

static int done, gate[2];
static void* counts(void* unused) {
    oc_sleep(2 * MS);
    add(&done, 1);
    return NULL;
}
static void* holds(void* unused) {
    char byte;
    CHECK_EQ(oc_stop(0), -EDEADLK);
    CHECK_EQ(read(gate[0], &byte, 1), 1);
    return NULL;
}

int main(void) {
    CHECK_OK(pipe(gate));
    for (int round = 0; round < 3; round++) {
        api_start();
        for (int i = 0; i < 200; i++) oc_task_drop(oc_task_create(counts, NULL, 0));
        oc_task* held = oc_task_create(holds, NULL, 0);
        CHECK_EQ(oc_stop(20 * MS), -ETIMEDOUT);
        CHECK(!oc_task_create(counts, NULL, 0));
        CHECK_EQ(errno, ESHUTDOWN);
        CHECK_EQ(write(gate[1], "x", 1), 1);
        CHECK_EQ(oc_stop(OC_FOREVER), 0);
        CHECK_EQ(load(&done), 200 * (round + 1));
        CHECK_EQ(oc_stop(0), -EINVAL);
        finished(held, 0);  // a handle outlives the framework
        CHECK(!oc_task_create(counts, NULL, 0));
        CHECK_EQ(errno, ENODEV);
    }
    say("ok");
    return 0;
}
