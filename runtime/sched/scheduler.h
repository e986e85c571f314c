// scheduler.h - who runs next: run queues, parking and waking, the idle loop
//
// A wait is: token = wait_begin(c); tell every source of a wake the token; reason = wait_park(c, ...). Sources race; the
// first wake(c, token, reason) wins and the others return false, so exactly one wake ends one wait. After wait_park the
// caller takes itself off the sources that did not fire. No lock may be held while parking, and nothing of the worker
// may be kept across it: the coroutine may resume on another worker.
//
// Lock order: signals, then futex buckets | descriptors | timers | offload, then registry, run queues (base/lock.h).
#pragma once
#include "runtime/sched/timers.h"
#include "runtime/sched/worker.h"

namespace ocrun {

inline constexpr u64 kNever = ~0ul;

// CLOCK_MONOTONIC, nanoseconds; a raw call (a vDSO that falls back to the kernel would trap).
u64 now_ns();
u64 realtime_ns();
// The same within a microsecond, mostly without a system call: never before now, for a deadline; never past now, for what is
// compared with one.
u64 now_or_later_ns();
u64 now_or_earlier_ns();

// Signals the process as a whole has pending; changed under the signal lock.
extern std::atomic<u64> g_shared_pending_bits;
inline bool signal_pending(const Coroutine* c) {
    return ((c->pending.bits | g_shared_pending_bits.load(std::memory_order_relaxed)) & ~c->mask) != 0;
}

// The worker takes on the CPUs that c, which it is to run, asked for (sched_setaffinity). It keeps them after c, which costs the
// next one of the same mind nothing; a tick, or a run after idleness, gives it its own back.
void affinity_apply(const Coroutine* c);
// Its own again, unless what it runs has asked.
void affinity_relax();
// Exactly what its coroutine asked for, for what the kernel derives from the thread: a fork, an exec, a new thread.
void affinity_exact(const Coroutine* c);
// If anything was latched for the calling worker: signals go to the pending sets, and the worker stands still or catches up
// as asked (sched/workers.h). To be called in every loop that could go on for long. No lock held.
void attend_now();
inline void attend() {
    if (__builtin_expect(this_thread()->latched.load(std::memory_order_relaxed), 0)) attend_now();
}
// CPU time of a coroutine in time-stamp ticks, the present slice included when it runs on the calling thread.
u64 coroutine_cpu_tsc(const Coroutine* c);

// What the scheduler needs from the layers above it.
struct SchedulerHooks {
    // Looks for completed I/O and wakes coroutines; waits at most timeout_ns (0: do not wait; kNever), less when a host
    // signal is latched or kick() was called.
    void (*poll_io)(u64 timeout_ns);
    // Makes a poll_io in progress return; callable from any thread of ours.
    void (*kick)();
    // Takes latched host signals into the pending sets.
    void (*drain_signals)();
    // Workers have nothing to do, and had not for a while: what was put off can be done. Takes no time when there is nothing.
    void (*idle)();
    // A new worker's first act: signal mask and the like.
    void (*worker_starts)();
};
void scheduler_init(const SchedulerHooks& hooks, KThread* first);

// More than one coroutine has existed since the start or the last fork. While false, the only coroutine may block in
// the kernel, the host's signal mask mirrors its own, and no tick runs.
extern bool g_multi;

u64 wait_begin(Coroutine* c, bool interruptible);
bool wake(Coroutine* c, u64 token, WakeReason reason);
// By a worker, of a wait that only workers end (not a helper): without a locked instruction where there is but one.
bool wake_by_worker(Coroutine* c, u64 token, WakeReason reason);
// Ends the wait with `signal` if c is in an interruptible wait. From any thread of ours.
void wake_for_signal(Coroutine* c);
// Parks until woken or until deadline_ns (CLOCK_MONOTONIC; kNever). With a pending unblocked signal an interruptible wait
// returns `signal` at once. `what` is a constant text for the dump.
WakeReason wait_park(Coroutine* c, u64 deadline_ns, const char* what, u64 detail);

// The same in parts, for a coroutine that gives its runtime stack away. Behind wait_begin: what it waits for, until when, and the rest of
// its call, which begins with wait_ended.
inline void wait_prepare(Coroutine* c, u64 deadline_ns, const char* what, u64 detail, long (*resume)(Coroutine*)) {
    if (deadline_ns != kNever) timer_arm(c, c->wait_sequence << 8, deadline_ns);
    c->waits_detail = detail;
    c->waits_for = what;
    c->resume = resume;
    c->prepared = true;
}
// Parks. Returns who goes on on this very stack: the next one, or c itself, whose wait was over before. Where that is somebody who
// has a stack it does not return.
Coroutine* park_without_stack(Coroutine* c);
inline WakeReason wait_ended(Coroutine* c) {
    c->sched_state.store(0, std::memory_order_relaxed);
    c->waits_for = nullptr;
    if (__atomic_load_n(&c->timer_armed, __ATOMIC_ACQUIRE)) timer_disarm(c);
    return WakeReason(c->wait_word.load(std::memory_order_acquire) & 0xff);
}

// Puts a coroutine that never ran, or that lost its worker, into a run queue.
void make_ready(Coroutine* c);
// A coroutine waits in the queue of the calling worker.
inline bool someone_ready() { return this_thread()->run_count.load(std::memory_order_relaxed) != 0; }
// The calling coroutine, pinned just now, goes on in its own kernel thread.
void move_home(Coroutine* c);
// Lets others run; returns when c is chosen again. Polls timers and descriptors too.
void yield_now(Coroutine* c);
// For a worker about to return to the guest that was ticked or lost its place: polls, and lets an idle worker help before it
// switches as yield_now. True when it is worth looking again at what the exit has to do.
bool preempted(Coroutine* c, bool ticked);
// A call that may block for long in the kernel, made by the worker itself and ended early (-EINTR) by a latched signal. A
// tick meanwhile only gives the worker's place and queue to another worker.
IntrResult blocking_syscall(u32 nr, const u64 args[6]);
// The current coroutine ends: its slot is freed once its stack is left.
[[noreturn]] void exit_coroutine(Coroutine* c);
// Forgets every queue in the child of a fork; the calling coroutine goes on.
void scheduler_after_fork();
// The first coroutine starts: leaves the caller's stack for good.
[[noreturn]] void scheduler_start(Coroutine* c);

}  // namespace ocrun
