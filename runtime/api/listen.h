// listen.h - listeners on changes of tasks' states; nothing but one load when there is none
#pragma once
#include "runtime/api/task.h"

namespace oc {

extern std::atomic<u32> g_listeners;
// Under the task's lock once it runs, so that listeners hear changes in their order.
void tell_listeners(const Task* t, u32 before, u32 now, int error, long call);
// Of a task that runs, by its own thread.
void change_state(Task* t, u32 now);
inline void tell(const Task* t, u32 before, u32 now, int error = 0, long call = -1) {
    if (__builtin_expect(g_listeners.load(std::memory_order_relaxed) != 0, 0)) tell_listeners(t, before, now, error, call);
}

}  // namespace oc
