// small_priorities_starve_nobody.c - a task of a large priority gets its turns though urgent ones never rest: when it waits to go on,
// when it is ready after a preemption, and when it waits to start
// TEST: libs=ocrun_shared timeout=60
#include "api.h"

enum { URGENT = 4 };
static int done_late;

static void* yields(void* unused) {
    while (!load(&done_late)) oc_yield();
    return unused;
}
static void* computes(void* unused) {
    while (!load(&done_late)) {}
    return unused;
}
static void* late(void* unused) {
    for (int i = 0; i < 20; i++) oc_yield();
    __atomic_store_n(&done_late, 1, __ATOMIC_SEQ_CST);
    return unused;
}

static void against(oc_function urgent) {
    oc_task* tasks[URGENT];
    __atomic_store_n(&done_late, 0, __ATOMIC_SEQ_CST);
    oc_task* last = oc_task_create(late, NULL, 100);
    WAIT_UNTIL(1);
    for (int i = 0; i < URGENT; i++) tasks[i] = oc_task_create(urgent, NULL, -100);
    finished(last, 0);
    for (int i = 0; i < URGENT; i++) finished(tasks[i], 0);
}

// Each makes the next one before it ends, so that the queue of tasks never lacks an urgent one.
static void* another(void* unused) {
    if (!load(&done_late)) oc_task_drop(oc_task_create(another, NULL, -1));
    return unused;
}

int main(void) {
    oc_config config = api_config();
    config.tasks_max = URGENT + 1;
    CHECK_EQ(oc_init(&config), 0);
    against(yields);
    against(computes);
    __atomic_store_n(&done_late, 0, __ATOMIC_SEQ_CST);
    for (int i = 0; i < 4 * URGENT; i++) oc_task_drop(oc_task_create(another, NULL, -1));
    static const long priorities[3] = {5, 0, 3};
    oc_task* tasks[3];
    for (int i = 0; i < 3; i++) tasks[i] = oc_task_create(late, NULL, priorities[i]);
    for (int i = 0; i < 3; i++) finished(tasks[i], 0);
    api_end();
    say("ok");
    return 0;
}
