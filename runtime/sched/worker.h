// worker.h - one kernel thread of ours: worker, offload helper, or the child of a vfork
#pragma once
#include <signal.h>

#include "runtime/base/lock.h"
#include "runtime/base/tick_clock.h"
#include "runtime/base/worker_slot.h"
#include "runtime/context/coroutine.h"
#include "runtime/sched/ranked.h"
#include "seccomp/trap.h"

struct oc_record;  // bpf/events.h

namespace ocrun {

// monitor: sched/monitor.h. Helpers are threads that never run guest code.
enum class ThreadKind : u8 { worker, offload, direct, monitor };

inline constexpr u64 kStormHeldNs = 1000000;

struct OffloadJob;  // io/offload.h

struct KThread : TrapThread {
    ThreadKind kind;
    bool helper() const { return kind == ThreadKind::offload || kind == ThreadKind::monitor; }
    bool async_blocked;      // the latch is full: the kernel keeps further signals until it is drained
    std::atomic<bool> need_resched;
    std::atomic<bool> kicked;  // a kick is on its way; they queue up in the kernel otherwise (RLIMIT_SIGPENDING)
    // Signals of timers that were taken and not yet delivered, blocked in the kernel until they are. It rearms a timer when its
    // signal is taken; a short one would leave no time for anything but taking signals.
    u64 held;
    // Of those the ones that other threads' timers send too, held for a short time at most, and only while they come in a storm
    // (timer_storm). storm_release: at the next drain they are not held any more.
    u64 storm_held;
    std::atomic<bool> storm_release;
    u32 storm_count;
    u64 storm_calls;
    u64 storm_released_ns;  // the monitor's
    u32 signals_seen;        // how many came, ours included (SignalMark in syscalls/call.h)
    u64 host_mask;           // what rt_sigprocmask was last told; restored when a handler's frame is abandoned
    std::atomic<u64> blocked;  // the kernel gives it none of these; at times it blocks more, never less (signal_mirror_settle)

    // Host signals between handler and drain. One producer (handlers on this thread, mutually masked) and one
    // consumer (this thread's runtime code); indices only grow.
    static constexpr u32 kLatchSlots = 64;
    std::atomic<u32> latch_in, latch_out;

    // worker
    Lock run_lock;          // queue: sched/run_queues.h
    Coroutine* run_first;   // before the list; taken `firsts` times in a row
    u32 firsts;
    Coroutine* run_head;
    Coroutine* run_tail;
    Ranked ranked;
    std::atomic<u32> run_count;
    boost::context::detail::fcontext_t idle_fiber;
    u64 spare_stack;  // a runtime stack for the next one that has none, 0: none
    u32 schedule_count;
    u64 calls;                      // system calls that came here: each worker counts its own, a shared counter would move between CPUs
    std::atomic<u32> sleep_word;    // futex an idle worker sleeps on: 1 = get up
    KThread* next_sleeper;
    std::atomic<bool> away;         // in the kernel for long, holding nothing of the runtime (a vfork): counts as stopped
    u32 everywhere_seen;            // sched/workers.h
    i32 tick_timer;
    bool tick_made;
    std::atomic<u64> tick_ns;       // period of the running tick, 0: none (sched/tick.h)
    u32 ticks;                      // how many came; written in the handler
    u64 fought_for;  // the lock for which the coroutine that leaves fought with another worker's (sched/scheduler.cc), 0: none
    // What a thief saw: schedule_count, and since when it is that.
    alignas(64) u64 thief_tsc;
    u32 thief_schedules;
    alignas(64) u32 tick_schedules;             // schedule_count, run_count and calls at the last one
    u32 tick_waiting;
    u32 moving_ticks;                           // how many found that the queue moves by itself
    u64 tick_calls;
    std::atomic<bool> computes;                 // so the last one found it: no calls, no waits, hardly a switch
    u32 futile_ticks, quiet_ticks;              // in a row, that found waits, or computing, and nothing new
    u32 waits_in_a_row;                         // ticks that found nothing but idle waits (sched/spin.h)
    u64 switched_in_tsc;
    u64 housekept_tsc;          // when it last looked at timers and descriptors between two switches
    u64 clock_tsc, clock_ns;    // when it last read the clock then, and what it said
    TickClock clock;            // near_now (scheduler.cc)
    oc_record* record;  // sched/observe.cc
    size_t record_bytes;
    u32 record_generation;
    bool record_refused;
    u32 record_trust;   // so many records more before the session is looked at again
    bool affinity_applied;  // the kernel thread runs where a coroutine asked to (sched/affinity.cc)
    u64 affinity[16];       // where it runs otherwise
    u64 affinity_now[16];
    // Holds no place among the active workers: it is stuck in the kernel, on its way back, or a parked spare.
    std::atomic<bool> retaken;
    bool in_spares;                 // g_sleep_lock
    std::atomic<bool> wants_spare;  // it was stuck, and there was nobody to take its place
    // Pinned: runs this coroutine and no other, outside of the places. Once it has ended, so does the kernel thread; the block
    // stays for the next one (`ended`, exit_tid 0: the kernel has left it).
    std::atomic<Coroutine*> owner;
    bool ended;
    u32 exit_tid;
    oc_worker_slot* slot;
    // The monitor's: what it saw at its last look.
    u64 seen_cpu_ns, seen_period_ns, out_of_kernel_ns;  // when it last switched or took a tick
    u32 seen_schedules, seen_ticks, stuck_looks;
    u32 stat_tid;  // whose /proc file stat_file is, 0: nobody's
    i32 stat_file;

    // direct: the child's own signal actions (a copy of signal/signals.h's table), and memory to free when it is gone
    u8 direct_actions[65 * 32];
    struct Scratch {
        void* start;
        size_t bytes;
    } scratch[4];

    // offload
    std::atomic<OffloadJob*> job;
    KThread* next_idle;

    siginfo_t latch[kLatchSlots];  // last: what else is used lies in few pages then
};

inline constexpr size_t kIdleStackOffset = 16 * 1024, kIdleStackBytes = 48 * 1024;
static_assert(sizeof(KThread) <= kIdleStackOffset);
static_assert(kIdleStackOffset + kIdleStackBytes + 64 * 1024 == kThreadBlockBytes);

inline KThread* this_thread() { return static_cast<KThread*>(trap_thread()); }
inline Coroutine* this_coroutine() { return static_cast<Coroutine*>(trap_thread()->current); }

// A zeroed block, or nullptr; not attached yet.
KThread* kthread_alloc(ThreadKind kind);
void kthread_free(KThread* thread);
inline void* kthread_stack_top(KThread* t) { return (char*)t + kIdleStackOffset + kIdleStackBytes; }

}  // namespace ocrun
