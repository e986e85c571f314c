// stacks_grow_in_segments.cc - recursion of 50 frames of 10 KiB on 128 KiB, twice, in tasks and in ordinary threads
// TEST: libs=ocrun_shared std=c++20
#include "api.h"

struct Step {
    int left, sum;
};
static void* recurse(void* argument) {
    Step* step = (Step*)argument;
    volatile char room[10 * 1024];
    for (size_t i = 0; i < sizeof room; i += 512) room[i] = (char)step->left;
    if (!step->left) return argument;
    step->left--;
    void* value = nullptr;
    CHECK_EQ(oc_maybe_grow_stack(0, 0, recurse, argument, &value), 0);
    CHECK(value == argument);
    for (size_t i = 0; i < sizeof room; i += 512) step->sum += room[i] == room[0];
    return argument;
}
static void* twice(void*) {
    for (int i = 0; i < 2; i++) {
        Step step{50, 0};
        void* value;
        CHECK_EQ(oc_maybe_grow_stack(0, 0, recurse, &step, &value), 0);
        CHECK_EQ(step.sum, 50 * 20);
    }
    return nullptr;
}
static void* throws(void* left) {
    if (!left) throw 42;
    CHECK(oc_stack_left() > 0);
    oc_maybe_grow_stack(1 << 20, 0, throws, (void*)((long)left - 1), nullptr);
    return nullptr;
}
static void* catches(void*) {
    size_t before = oc_stack_left();
    try {
        throws((void*)5);
        CHECK(0);
    } catch (int i) {
        CHECK_EQ(i, 42);
    }
    CHECK(oc_stack_left() >= before - 4096 && oc_stack_left() <= before + 4096);
    return nullptr;
}
// what is on a segment may wait, and go on on another worker
static void* waits(void* left) {
    oc_sleep(MS / 10);
    if (left) oc_maybe_grow_stack(1 << 20, 0, waits, (void*)((long)left - 1), nullptr);
    oc_yield();
    return nullptr;
}
static void* overflows_a_segment(void*) {
    oc_maybe_grow_stack(1 << 20, 0, overflows, nullptr, nullptr);
    return nullptr;
}

int main() {
    oc_config config = api_config();
    config.stack_bytes = 128 * 1024;
    CHECK_EQ(oc_init(&config), 0);
    oc_task* tasks[20];
    for (oc_task*& t : tasks) t = oc_task_create(twice, nullptr, 0);
    for (oc_task* t : tasks) finished(t, 0);
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 * 1024);
    pthread_create(&thread, &small, twice, nullptr);
    pthread_join(thread, nullptr);
    twice(nullptr);
    catches(nullptr);
    finished(oc_task_create(catches, nullptr, 0), 0);
    for (oc_task*& t : tasks) t = oc_task_create(waits, (void*)10, 0);
    for (oc_task* t : tasks) finished(t, 0);
    finished(oc_task_create(overflows_a_segment, nullptr, 0), -EFAULT);
    void* value = nullptr;
    CHECK_EQ(oc_maybe_grow_stack(~0ul / 2, ~0ul / 2, twice, nullptr, &value), -ENOMEM);
    api_end();
    say("ok");
    return 0;
}
