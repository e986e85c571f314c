// listen.cc - see listen.h
#include "runtime/api/listen.h"

#include <errno.h>

#include "runtime/api/fork.h"
#include "runtime/api/pool.h"

namespace oc {

std::atomic<u32> g_listeners;

namespace {

constexpr u32 kMost = 16;
struct Slot {
    std::atomic<oc_listener> function;
    std::atomic<void*> argument;
};
Slot g_slots[kMost];
Lock g_lock;

}  // namespace

void tell_listeners(const Task* t, u32 before, u32 now, int error, long call) {
    oc_event e{t->id, oc_state(before), oc_state(now), error, call, now_ns()};
    for (Slot& s : g_slots)
        if (oc_listener f = s.function.load(std::memory_order_acquire)) f(s.argument.load(std::memory_order_relaxed), &e);
}

void change_state(Task* t, u32 now) {
    if (!g_listeners.load(std::memory_order_relaxed)) {
        t->state.store(now, std::memory_order_relaxed);
        return;
    }
    Locked held(t->lock);
    u32 before = t->state.exchange(now, std::memory_order_relaxed);
    if (before != now) tell(t, before, now);
}

Suspended::Suspended(Thread& me) : task_(me.task) {
    if (task_) change_state(task_, OC_SUSPENDED);
}
Suspended::~Suspended() {
    if (task_) change_state(task_, OC_RUNNING);
}

}  // namespace oc

using namespace oc;

extern "C" {

int oc_listener_add(oc_listener listener, void* argument) {
    if (!listener) return -EINVAL;
    reset_in_child([] { g_lock.reset(); });
    Inside inside(self());
    Locked held(g_lock);
    for (Slot& s : g_slots) {
        if (s.function.load(std::memory_order_relaxed)) continue;
        s.argument.store(argument, std::memory_order_relaxed);
        s.function.store(listener, std::memory_order_release);
        g_listeners.fetch_add(1);
        pool_watch();
        return 0;
    }
    return -EAGAIN;
}

int oc_listener_remove(oc_listener listener, void* argument) {
    Inside inside(self());
    Locked held(g_lock);
    for (Slot& s : g_slots) {
        if (s.function.load(std::memory_order_relaxed) != listener || s.argument.load(std::memory_order_relaxed) != argument) continue;
        s.function.store(nullptr, std::memory_order_release);
        g_listeners.fetch_sub(1);
        return 0;
    }
    return -ENOENT;
}

}  // extern "C"
