// workers.h - the set of workers: starting, waking, stopping all of them, calls that every kernel thread must make
#pragma once
#include "runtime/sched/scheduler.h"

namespace ocrun {

inline constexpr u32 kMaxWorkers = 1024;

// What each worker shows of itself (base/worker_slot.h); slot i is worker i's.
extern oc_worker_slot g_worker_slots[kMaxWorkers];

// limit: 0 = as many as CPUs are allowed. Workers beyond the first start when there is work for them. At most `limit` are
// active at a time; those stuck in the kernel and spares come on top (sched/monitor.h).
void workers_init(KThread* first, u32 limit);
u32 workers_started();
// For observers: [0, g_worker_count) are there.
extern KThread* g_workers[kMaxWorkers];
extern std::atomic<u32> g_worker_count;
// No other worker was ever started, so nobody else looks at this one's queue and at what it runs, and locks and fences against
// those are spared: the first other one is started by this very thread, outside of what they guard (worker_start_one).
inline bool only_worker() { return g_worker_count.load(std::memory_order_acquire) == 1; }
u32 workers_limit();
u64 workers_calls();  // system calls that came to all of them
KThread* worker_at(u32 index);
// The internal signal to a kernel thread of ours. A real-time signal needs an entry of the kernel's, of which all processes of a user
// have RLIMIT_SIGPENDING; without one SIGBUS gets through, as all standard signals do (then without saying from whom). Not
// SIGSYS: one on its way would swallow a trap. A fault that is swallowed so happens again.
long thread_interrupt(u32 tid);
// Makes the worker look (attend) soon, whatever it does.
void worker_kick(KThread* t);

// Gives the calling coroutine (from: itself) or one that never ran (from: its parent) a kernel thread of its own, made from
// the caller's, whose per-thread state (credentials, namespaces ...) it inherits. 0, or -EAGAIN. The caller itself goes on there.
long worker_pin(Coroutine* c);

// Stop the world: on return every other worker stands still outside of any lock of the runtime. Not from two
// coroutines at once: the second waits, standing still itself. Follows the rule of fork: only the caller goes on.
void world_stop();
// As world_stop, unless some worker is stuck in the kernel for longer than patience_ns: then false, and nobody is stopped.
bool world_stop_within(u64 patience_ns);
void world_go();
// In the child of a fork: the caller's worker is the only one.
void workers_after_fork();
// Around a kernel call that suspends the worker for long.
void worker_away(bool away);

// The process can from now on get stuck in the kernel out of reach of signals, waiting for another thread of its own (page faults
// that it answers itself, a vfork child): a spare worker is kept ready, which a process of one worker otherwise is not.
void worker_expect_stuck();

// A system call made by t's kernel thread for the caller, soon, whatever t does: what the kernel allows one thread only. Never one
// that waits.
long call_on_worker(KThread* t, u32 nr, const u64 args[6]);
// errand(argument), run by some worker where it holds nothing, for a thread that is none: the child of a CLONE_VM. Returns when it is done.
void worker_errand(void (*errand)(void*), void* argument);
// The child whose process id that is has ended, perhaps in the middle of an errand. True when a worker may be about to run it still, from
// the child's stack.
bool worker_errand_is_left(u32 owner);
// A system call that every other worker and helper has to make too (credentials); returns when all have. First error or 0.
long everywhere(u32 nr, const u64 args[6]);
// Kernel threads other than workers: begin() keeps new ones from starting and tells how many there are, end() lets them
// start again and kicks all.
struct EverywhereHelpers {
    u32 (*begin)();
    void (*end)();
};
extern EverywhereHelpers g_everywhere_helpers;
u32 everywhere_generation();
void everywhere_catch_up(u32* seen);

// What a worker does when a signal, a kick or a tick latched: stands still if asked, catches up with `everywhere`.
void worker_attend();

}  // namespace ocrun
