// preemptive.c - two endless loops and a third task that breaks them, also where there is one worker (ocrun -w 1)
#include "example.h"

static int first_goes_on = 1, second_goes_on = 1;
static void* first(void* unused) {
    while (__atomic_load_n(&first_goes_on, __ATOMIC_SEQ_CST)) {
    }
    __atomic_store_n(&second_goes_on, 0, __ATOMIC_SEQ_CST);
    return unused;
}
static void* second(void* unused) {
    while (__atomic_load_n(&second_goes_on, __ATOMIC_SEQ_CST)) {
    }
    return unused;
}
static void* breaker(void* unused) {
    __atomic_store_n(&first_goes_on, 0, __ATOMIC_SEQ_CST);
    return unused;
}

int main(void) {
    start();
    oc_task* tasks[3] = {oc_task_create(first, NULL, 0), oc_task_create(second, NULL, 0), oc_task_create(breaker, NULL, 0)};
    for (int i = 0; i < 3; i++) {
        MUST(oc_task_timeout_join(tasks[i], 3000000000u, NULL) == 0);
        oc_task_drop(tasks[i]);
    }
    finish();
}
