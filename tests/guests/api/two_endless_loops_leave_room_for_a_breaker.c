// two_endless_loops_leave_room_for_a_breaker.c - preemption: tasks that never wait do not keep a third from running
// TEST: libs=ocrun_shared
#include "api.h"

static int stop_first, stop_second;
static void* first(void* unused) {
    while (!load(&stop_first)) {
    }
    __atomic_store_n(&stop_second, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void* second(void* unused) {
    while (!load(&stop_second)) {
    }
    return NULL;
}
static void* breaks(void* unused) {
    __atomic_store_n(&stop_first, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(void) {
    api_start();
    oc_task* tasks[3] = {oc_task_create(first, NULL, 0), oc_task_create(second, NULL, 0), oc_task_create(breaks, NULL, 0)};
    for (int i = 0; i < 3; i++) {
        void* value;
        CHECK_EQ(oc_task_timeout_join(tasks[i], 3000 * MS, &value), 0);
        oc_task_drop(tasks[i]);
    }
    api_end();
    say("ok");
    return 0;
}
