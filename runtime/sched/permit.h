// permit.h - parking and waking by name, for the function table (syscalls/task_table.cc)
//
// A park is a wait whose sequence number is odd, so that an unpark can tell it from the waits of system calls by the wait word
// alone and ends it with one compare-and-swap. An unpark that finds no park leaves a permit, and then looks once more; a park that
// has announced itself looks for a permit once more. A permit may be left though its unpark found the park after all: a park may
// end for no reason.
//
// What a guest owes: it may put off an unpark by writing whom into its `owed` word, if its worker ticks. Whatever takes the CPU
// from it (a park, a tick, its end) makes the unpark first, and the monitor does for a worker that is stuck. So a thread that
// creates a task and joins it at once hands over to a carrier that never was in a run queue.
#pragma once
#include "runtime/sched/scheduler.h"

namespace ocrun {

inline bool parked_by_table(u64 wait_word) { return (wait_word & 0xff) == u64(WakeReason::none) && (wait_word >> 8 & 1); }

// By who ended c's wait: true when c has left its stack, so that the caller is to run or to queue it; else who switches it out does.
inline bool left_its_stack(Coroutine* c) {
    return c->sched_state.load(std::memory_order_acquire) & kSwitchedOut ||
           c->sched_state.fetch_or(kNotified, std::memory_order_acq_rel) & kSwitchedOut;
}

// `none`: the park has begun and wait_park follows. Else it is over.
inline WakeReason begin_park(Coroutine* c) {
    if (c->permit.load(std::memory_order_relaxed)) {
        c->permit.exchange(0, std::memory_order_acq_rel);
        return WakeReason::woken;
    }
    u64 token = (c->wait_sequence = (c->wait_sequence | 1) + 2) << 8;
    c->wait_interruptible = true;
    c->wait_word.store(token, std::memory_order_seq_cst);
    if (__builtin_expect(!c->permit.load(std::memory_order_seq_cst), 1)) return WakeReason::none;
    c->permit.exchange(0, std::memory_order_acq_rel);
    // Who won this wait will put c into a queue: then it has to be waited for.
    bool over = c->wait_word.compare_exchange_strong(token, token | u64(WakeReason::woken), std::memory_order_acq_rel);
    return over ? WakeReason::woken : WakeReason::none;
}

// Not found parked just now.
void leave_permit(Coroutine* c);

// Lets c go on from its park, or leaves it a permit. Any thread of ours.
inline void unpark(Coroutine* c) {
    u64 word = c->wait_word.load(std::memory_order_acquire);
    if (!parked_by_table(word) || !wake(c, word, WakeReason::woken)) leave_permit(c);
}

void pay(Coroutine* c);
// Unparks whom c owes it. By c itself, or by the monitor for it.
inline void pay_owed(Coroutine* c) {
    if (__builtin_expect(c->owed.load(std::memory_order_relaxed) != nullptr, 0)) pay(c);
}

}  // namespace ocrun
