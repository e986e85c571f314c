// tasks_return_values_to_any_number_of_joins.c - create, join from main and from tasks, drop; what is refused
// TEST: libs=ocrun_shared
#include "api.h"

static int done;
static void* twice(void* n) {
    errno = 5;
    CHECK(oc_current_id() != 0);
    return (void*)((long)n * 2);
}
static void* count(void* unused) {
    CHECK_EQ(errno, 0);  // a fresh one, whoever ran here before
    add(&done, 1);
    errno = 77;
    return NULL;
}
static void* joins(void* other) {
    void* value;
    CHECK_EQ(oc_task_join(other, &value), 0);
    return value;
}
static void* joins_itself(void* place) {
    oc_task* volatile* self = place;
    while (!__atomic_load_n(self, __ATOMIC_SEQ_CST)) oc_yield();
    return (void*)(long)oc_task_join(*self, NULL);
}
static void* fib(void* n) {
    if ((long)n < 2) return n;
    oc_task* a = oc_task_create(fib, (void*)((long)n - 1), 0);
    oc_task* b = oc_task_create(fib, (void*)((long)n - 2), 0);
    return (void*)((long)finished(a, 0) + (long)finished(b, 0));
}

int main(void) {
    CHECK(!oc_task_create(twice, NULL, 0));
    CHECK_EQ(errno, ENODEV);
    CHECK_EQ(oc_stop(0), -EINVAL);
    api_start();
    CHECK_EQ(oc_init(NULL), -EALREADY);
    CHECK(!oc_task_create(NULL, NULL, 0));
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(oc_current_id(), 0);

    oc_task* t = oc_task_create(twice, (void*)21, 0);
    for (int i = 0; i < 3; i++) {
        void* value = NULL;
        CHECK_EQ(oc_task_join(t, &value), 0);
        CHECK_EQ((long)value, 42);
    }
    CHECK_EQ(oc_task_state(t), OC_COMPLETE);
    CHECK_EQ(oc_task_error_text(t)[0], 0);
    // several tasks join one
    oc_task* many[8];
    for (int i = 0; i < 8; i++) many[i] = oc_task_create(joins, t, 0);
    for (int i = 0; i < 8; i++) CHECK_EQ((long)finished(many[i], 0), 42);
    oc_task_drop(t);
    oc_task_drop(NULL);

    for (int i = 0; i < 1000; i++) oc_task_drop(oc_task_create(count, NULL, 0));  // detached
    oc_task* volatile me = NULL;
    oc_task* self = oc_task_create(joins_itself, (void*)&me, 0);
    __atomic_store_n(&me, self, __ATOMIC_SEQ_CST);
    CHECK_EQ((long)finished(self, 0), -EDEADLK);
    CHECK_EQ((long)finished(oc_task_create(fib, (void*)14, 0), 0), 377);
    api_end();
    CHECK_EQ(load(&done), 1000);
    say("ok");
    return 0;
}
