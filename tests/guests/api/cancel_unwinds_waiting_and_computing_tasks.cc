// cancel_unwinds_waiting_and_computing_tasks.cc - before start, in system calls, locks and library calls, while computing
// TEST: libs=ocrun_shared std=c++20
#include <condition_variable>
#include <mutex>

#include "api.h"

static int destroyed, started;
struct Counted {
    ~Counted() { add(&destroyed, 1); }
};

static int pipes[2];
static std::mutex held;
static std::condition_variable never;

template <class F>
static void* begin(F wait) {
    Counted outer;
    add(&started, 1);
    wait();
    say("a cancelled task went on");
    return nullptr;
}
static void* in_read(void*) {
    return begin([] {
        Counted c;
        char byte;
        (void)!read(pipes[0], &byte, 1);
    });
}
static void* in_sleep(void*) {
    return begin([] {
        Counted c;
        sleep(1000);
    });
}
static void* in_oc_sleep(void*) {
    return begin([] {
        Counted c;
        oc_sleep(OC_FOREVER);
    });
}
static void* in_lock(void*) {
    return begin([] {
        Counted c;
        std::lock_guard<std::mutex> lock(held);
    });
}
static void* in_condition(void*) {
    return begin([] {
        Counted c;
        std::mutex own;
        std::unique_lock<std::mutex> lock(own);
        never.wait(lock, [] { return false; });
    });
}
static void* in_join(void* other) {
    return begin([&] {
        Counted c;
        oc_task_join((oc_task*)other, nullptr);
    });
}
static volatile long turns;
static void compute() {
    for (;;) turns = turns + 1;
}
// So that the compiler cannot know that it throws nothing: its callers would have no destructors to run.
static void (*volatile opaque)() = compute;
static void* computing(void*) {
    return begin([] {
        Counted c;
        opaque();
    });
}
static void* in_deep_frames(void* left) {
    Counted c;
    if (!left) {
        add(&started, 1);
        pause();
        return nullptr;
    }
    void* below = in_deep_frames((void*)((long)left - 1));
    say("a cancelled task went on");
    return below;
}
static void* on_a_segment(void*) {
    return begin([] {
        Counted c;
        oc_maybe_grow_stack(
            1 << 20, 0,
            [](void*) -> void* {
                Counted d;
                pause();
                return nullptr;
            },
            nullptr, nullptr);
    });
}

static void check(oc_function function, void* argument, int objects) {
    int before = load(&destroyed), begun = load(&started);
    oc_task* t = oc_task_create(function, argument, 0);
    WAIT_UNTIL(load(&started) > begun);
    oc_sleep(2 * MS);
    CHECK_EQ(oc_task_cancel(t), 0);
    CHECK_EQ(oc_task_join(t, nullptr), -ECANCELED);
    CHECK_EQ(oc_task_state(t), OC_CANCELLED);
    CHECK_EQ(oc_task_cancel(t), 0);  // no effect any more
    oc_task_drop(t);
    CHECK_EQ(load(&destroyed) - before, objects);
}

static void* disabled(void*) {
    CHECK_EQ(oc_cancel_enable(0), 1);
    add(&started, 1);
    WAIT_UNTIL(oc_cancel_requested());
    for (int i = 0; i < 5; i++) CHECK_EQ(oc_sleep(MS), 0);
    usleep(3000);
    add(&destroyed, 1);
    CHECK_EQ(oc_cancel_enable(1), 0);
    CHECK_EQ(oc_cancel_point(), 0);
    say("a cancelled task went on");
    return nullptr;
}
static void quiet(int* done) noexcept {
    usleep(20000);  // a frame that lets nothing through: later
    add(done, 1);
}
static void* in_noexcept(void*) {
    Counted c;
    add(&started, 1);
    quiet(&destroyed);
    oc_sleep(OC_FOREVER);
    return nullptr;
}
static void* first(void* gate) {
    char byte;
    CHECK_EQ(read(((int*)gate)[0], &byte, 1), 1);
    return nullptr;
}
static void* too_late(void*) {
    say("a task ran that was cancelled before");
    return nullptr;
}
static void ended(void*) { add(&destroyed, 1); }

int main() {
    oc_config config = api_config();
    config.tasks_max = 2;
    CHECK_EQ(oc_init(&config), 0);
    CHECK_OK(pipe(pipes));
    // before it starts: both coroutines are taken
    int gate[2];
    CHECK_OK(pipe(gate));
    oc_task* holders[2] = {oc_task_create(first, gate, 0), oc_task_create(first, gate, 0)};
    oc_task_attributes attributes{};
    attributes.size = sizeof attributes;
    attributes.ended = ended;
    oc_task* t = oc_task_create_with(too_late, nullptr, &attributes);
    CHECK_EQ(oc_task_cancel(t), 0);
    CHECK_EQ(oc_task_join(t, nullptr), -ECANCELED);
    CHECK_EQ(load(&destroyed), 1);
    oc_task_drop(t);
    CHECK_EQ(write(gate[1], "xx", 2), 2);
    for (oc_task* h : holders) finished(h, 0);

    for (int round = 0; round < 3; round++) {
        check(in_read, nullptr, 2);
        check(in_sleep, nullptr, 2);
        check(in_oc_sleep, nullptr, 2);
        held.lock();
        check(in_lock, nullptr, 2);
        held.unlock();
        check(in_condition, nullptr, 2);
        int begun = load(&started);
        oc_task* other = oc_task_create(in_oc_sleep, nullptr, 0);
        WAIT_UNTIL(load(&started) > begun);
        check(in_join, other, 2);
        CHECK_EQ(oc_task_cancel(other), 0);
        finished(other, -ECANCELED);
        check(computing, nullptr, 2);
        check(in_deep_frames, (void*)20, 21);
        check(on_a_segment, nullptr, 3);
        check(disabled, nullptr, 1);
        check(in_noexcept, nullptr, 2);
    }
    // what waits for nobody must be usable still
    held.lock();
    held.unlock();
    api_end();
    say("ok");
    return 0;
}
