// priorities_decide_who_starts_first.c - smaller priorities first, equal ones in the order of their creation
// TEST: libs=ocrun_shared
#include "api.h"

enum { N = 300 };
static int order[N], n;
static void* notes(void* number) {
    order[add(&n, 1) - 1] = (int)(long)number;
    return NULL;
}
static int gate[2];
static void* holds(void* unused) {
    char byte;
    CHECK_EQ(read(gate[0], &byte, 1), 1);
    return NULL;
}

int main(void) {
    // One coroutine: what is created while it is held waits in the queue.
    oc_config config = api_config();
    config.tasks_max = 1;
    CHECK_EQ(oc_init(&config), 0);
    CHECK_OK(pipe(gate));
    oc_task* first = oc_task_create(holds, NULL, 0);
    WAIT_UNTIL(oc_task_state(first) != OC_READY);
    oc_task* tasks[N];
    static const long priorities[3] = {5, 0, -5};
    for (int i = 0; i < N; i++) tasks[i] = oc_task_create(notes, (void*)(long)i, priorities[i % 3]);
    CHECK_EQ(load(&n), 0);
    CHECK_EQ(write(gate[1], "x", 1), 1);
    finished(first, 0);
    for (int i = 0; i < N; i++) finished(tasks[i], 0);
    for (int i = 0; i < N; i++) CHECK_EQ(order[i], (i % (N / 3)) * 3 + (2 - i / (N / 3)));
    api_end();
    say("ok");
    return 0;
}
