// switch.h - from one coroutine to the next, and the rest of what scheduler.cc, idle.cc and preempt.cc share
#pragma once
#include "runtime/sched/observe.h"
#include "runtime/sched/permit.h"
#include "runtime/sched/run_queues.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

extern SchedulerHooks g_hooks;

// As enum oc_switch_why. surplus: the worker has no place any more, its coroutine goes on elsewhere. handed: parks only once its
// stack is left.
// without_stack: parked, and the stack it ran on is the worker's.
enum class After : u8 { parked, requeue, dead, start, surplus, handed, without_stack };
struct SwitchRecord {
    Coroutine* from;  // nullptr: the idle loop
    After action;
    u64 stack;  // without_stack: its top
};

// Runs first in whatever was switched to: completes what the one that left could not do on its own stack.
void finish(boost::context::detail::transfer_t from);

// The park of one that handed over begins here, off its stack: who unparks it may run it at once.
inline void handed(Coroutine* c, boost::context::detail::fcontext_t fiber) {
    c->fiber = fiber;
    c->sched_state.store(kSwitchedOut, std::memory_order_relaxed);
    if (__builtin_expect(announce_park(c), 0)) wake(c, c->wait_sequence << 8, WakeReason::woken);
}

inline constexpr u32 told_as(After action) {
    switch (action) {
        case After::surplus: return u32(After::requeue);
        case After::handed:
        case After::without_stack: return u32(After::parked);
        default: return u32(action);
    }
}

// What a switch does but for the stacks.
[[gnu::always_inline]] inline void change_coroutine(KThread* t, Coroutine* from, After action, Coroutine* to) {
    u64 tsc = __builtin_ia32_rdtsc();
    observe_switch(t, from, told_as(action), to, tsc);
    if (from) {
        if (from->xstate_live && action != After::dead) save_live_xstate(from);
        from->fs_base = fs_base_of(from);
        from->cpu_tsc += tsc - t->switched_in_tsc;
        from->parked_since_tsc = tsc;
        from->table_words_set = false;
        from->on.store(nullptr, std::memory_order_relaxed);
    }
    t->switched_in_tsc = tsc;
    if (to) {
        to->sched_state.store(0, std::memory_order_relaxed);
        to->switches++;
        to->on.store(t, std::memory_order_relaxed);  // seen before it looks at its signals: finish() has a fence on every way
        load_fs_base(to);
        if (__builtin_expect(to->affinity_set, 0)) affinity_apply(to);
    }
    t->current = to;
}

// A fiber for one that has no stack.
boost::context::detail::fcontext_t give_stack(KThread* t, Coroutine* to);

[[gnu::always_inline]] inline boost::context::detail::fcontext_t way_to(KThread* t, Coroutine* to) {
    if (!to) return t->idle_fiber;
    return __builtin_expect(to->fiber != nullptr, 1) ? to->fiber : give_stack(t, to);
}

// Leaves `from` (nullptr: the idle loop) for `to` (nullptr: the idle loop); returns when `from` runs again.
[[gnu::always_inline]] inline void switch_now(Coroutine* from, After action, Coroutine* to) {
    KThread* t = this_thread();
    SwitchRecord record{from, action, 0};
    change_coroutine(t, from, action, to);
    boost::context::detail::transfer_t back = oc_switch(way_to(t, to), &record);
    SwitchRecord* left = (SwitchRecord*)back.data;
    if (__builtin_expect(left->action != After::handed, 0))
        finish(back);
    else
        handed(left->from, back.fctx);
    if (__builtin_expect(g_key_rights_used, 0) && from) load_key_rights(from);
}

void switch_to(Coroutine* from, After action, Coroutine* to);

// Timers and descriptors that are due.
void housekeeping();

// idle.cc
void prepare_idle(KThread* t);
void idle_after_fork();

}  // namespace ocrun
