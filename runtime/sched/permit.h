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
//
// While there is only one worker no other thread touches a park: helpers end waits of system calls, and the monitor leaves an
// owed unpark to the worker (monitor.cc). So parks then need no locked instruction.
#pragma once
#include <asm/errno.h>

#include "runtime/sched/scheduler.h"
#include "runtime/sched/workers.h"

namespace ocrun {

inline bool parked_by_table(u64 wait_word) { return (wait_word & 0xff) == u64(WakeReason::none) && (wait_word >> 8 & 1); }

// By who ended c's wait: true when c has left its stack, so that the caller is to run or to queue it; else who switches it out does.
inline bool left_its_stack(Coroutine* c) {
    return c->sched_state.load(std::memory_order_acquire) & kSwitchedOut ||
           c->sched_state.exchange(kNotified, std::memory_order_acq_rel) & kSwitchedOut;
}

// c is about to be parked. True when a permit or a signal came before: then who calls ends the park.
inline bool announce_park(Coroutine* c) {
    c->wait_sequence = (c->wait_sequence | 1) + 2;
    c->wait_word.store(c->wait_sequence << 8, std::memory_order_release);
    if (!only_worker()) std::atomic_thread_fence(std::memory_order_seq_cst);
    return c->permit.load(std::memory_order_seq_cst) || signal_pending(c);
}
// The calling coroutine waits for an unpark until deadline_ns. `what` as of wait_park.
WakeReason park(Coroutine* c, u64 deadline_ns, const char* what);

// Back to the guest behind a park: 0, -ETIMEDOUT or -EINTR. Does not return when there is something to do before.
inline long park_result(Coroutine* c, WakeReason why) {
    long result = why == WakeReason::woken ? 0 : why == WakeReason::timeout ? -ETIMEDOUT : -EINTR;
    if (__builtin_expect(signal_pending(c), 0)) {
        c->regs.rax = u64(result);
        oc_table_again();
    }
    return result;
}

// unpark(next) and a park of c, the caller, without deadline; `next` runs at once on this worker when it can, ahead of the queue:
// for the start of a task that somebody waits for, and for its end. The result is that of park_result.
long hand_over(Coroutine* c, Coroutine* next, const char* what);

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
