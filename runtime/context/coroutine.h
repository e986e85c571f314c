// coroutine.h - one guest thread: its machine state, its runtime stack, its place in the scheduler
//
// A coroutine lives in a slot of the pool: [Coroutine | XSAVE area]. Slots are never returned to the kernel while the process lives, so
// a stale pointer is always safe to look at (wait words carry a sequence number that tells an old wait from the present one).
//
// A runtime stack it has while it runs, and while it is parked or queued in the middle of a call whose rest lies there. One that begins,
// and one that waits for a futex, for time or to read from a descriptor, has none: what is left to do is `resume`, which begins on whatever stack the worker has at hand
// (sched/switch.h). So a sleeping thread costs no page for it, and switches among such threads stay on one.
//
// Runs in the core: no libc, no vector registers. glibc's headers are used for the kernel's types only.
//
// States (sched_state):   running --park--> running|switched_out --wake--> queued --run--> running
// A wake may come before the parking coroutine has left its stack: the waker sets kNotified; whoever sees both kNotified
// and kSwitchedOut first puts it into a run queue. So a coroutine is never resumed on a stack that is still in use.
#pragma once
#include <atomic>

#include <boost/context/detail/fcontext.hpp>
#define BOOST_DISABLE_ASSERTS
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "runtime/base/lock.h"
#include "runtime/base/syscall.h"
#include "runtime/context/fd_waiter.h"
#include "runtime/context/futex_waiter.h"
#include "seccomp/trap.h"

struct oc_coroutine_row;  // bpf/events.h

// context/switch_x86_64.S
extern "C" boost::context::detail::transfer_t oc_switch(boost::context::detail::fcontext_t to, void* data);
// c->resume(c) and on to the guest (syscalls/dispatch.cc).
extern "C" [[noreturn]] void oc_go_on(ocrun::Coroutine* c);

namespace ocrun {

enum class WakeReason : u8 {
    none = 0,  // still waiting
    woken,     // what it waited for happened
    timeout,
    signal,    // a signal it does not block is pending
    cancelled,
};

struct AltStack {
    u64 sp, size;
    u32 flags;
};

struct SignalNode;  // signal/pending.h
struct GuestFilter;  // process/guest_filter.h

struct PendingSignals {
    u64 bits;          // one bit a number, bit 0 = signal 1
    SignalNode* head;  // oldest first
    SignalNode* tail;
};

inline constexpr u32 kNotified = 1, kSwitchedOut = 2;

using ListHook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
using SetHook = boost::intrusive::set_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>,
                                                  boost::intrusive::optimize_size<true>>;

// What the last tick saw of a coroutine (sched/spin.h).
struct SpinLook {
    u64 regs[17];  // as GuestRegs begins: the general ones and rip
    u64 cpu_tsc;   // time it had had by then
    u32 calls;
};

struct Coroutine : GuestContext {
    // ---- what a call, a park, a wake and a switch touch: together, since with many coroutines each line is fetched
    // from afar

    u32 tid;           // what gettid() answers
    u32 call_nr;       // system call in progress, ~0u: none
    u32 calls;         // how many it made
    bool is_main;      // the thread-group leader: tid == pid
    bool direct;       // child of vfork or CLONE_VM: every call is made natively, never parks (process/vfork.cc)
    bool blocks_here;  // the call in progress blocks in the kernel (syscalls/call.h)
    bool leaves_stack; // the call in progress may park without a stack (syscalls/call.h, kParks)
    bool prepared;     // it is about to (wait_prepare)
    bool rule_holds;   // the policy's rule holds for the call in progress (process/rule_turns.h)
    bool pinned;       // has a kernel thread of its own (home), which runs nobody else
    bool own_files;    // unshared its descriptors: they are not those the runtime keeps readiness of
    bool wait_interruptible;  // a signal may end the present wait
    bool timer_armed;
    bool restore_mask;  // saved_mask comes back when the present call ends (sigsuspend, ppoll ...)
    bool affinity_set;  // asked for CPUs (affinity)
    // Calls through the function table (sched/permit.h): an unpark came before its park; and whom this one has yet to
    // unpark, written by the guest.
    std::atomic<u32> permit;
    std::atomic<u32> sched_state;

    // (A line of the cache from here to parked_since_tsc, one to waits_detail, one the place among a descriptor's waiters: sched/warm.h.)
    alignas(64) boost::context::detail::fcontext_t fiber;  // where it goes on on its stack; nullptr: it has none
    long (*resume)(Coroutine*);                // what it goes on with then (syscalls/call.h, kParks)
    std::atomic<u64> wait_word;  // (sequence << 8) | WakeReason
    u64 wait_sequence;
    Coroutine* run_next;
    i64 priority;      // who is ready with a smaller one runs first (sched/ranked.h); 0 but for tasks of libocrun
    std::atomic<TrapThread*> on;  // the worker that runs it, nullptr when none does
    u64 parked_since_tsc;  // when it last began to wait or was switched out

    u64 switches;
    u64 cpu_tsc;  // time-stamp ticks switched in, up to the last switch
    std::atomic<Coroutine*> owed;
    TrapThread* home;  // pinned: its kernel thread
    // The futex it waited for last, for which value, and `calls` at its last call on it (sync/futex.cc, look_for_a_fight).
    u64 futex_at;
    u32 futex_expected, futex_calls;
    const char* waits_for;  // kWaitsForWord ...; nullptr: not parked
    u64 waits_detail;       // address, descriptor ...
    union {  // of a wait without a stack
        Waiter futex;
        DescriptorWait descriptor;
    };

    // signals; guarded by the signal lock except mask, which only the coroutine itself changes
    u64 mask, saved_mask;
    PendingSignals pending;

    // the call in progress, when a signal interrupted it
    long restart;             // a restart code (syscalls/call.h), 0: none
    u64 restart_deadline_ns;  // what a repeated sleep or poll still waits for; 0: take it from the arguments
    u32 restart_nr;

    u32 parent_tid;  // with what follows: for observers (sched/observe.h); the times count only while somebody looks
    u64 ready_since_tsc, queued_tsc, parked_tsc, call_since_tsc;
    oc_coroutine_row* row;  // in the agent's map (sched/mirror.h), nullptr: none

    GuestFilter* filters;  // the newest of the seccomp filters that the guest installed for it

    // ---- timer (sched/timers.h)
    SetHook timer_hook;
    u64 timer_deadline_ns;  // CLOCK_MONOTONIC
    u64 timer_token;

    // ---- the rest, for a part of the calls
    u64 cpu_base_ns;  // what the kernel had counted when the coroutine was still alone (syscalls/cpu_clock.cc)
    u64 usage_told_ns, usage_user_ns;  // getrusage: of so much so much was told to be the guest's own
    SetHook rank_hook;
    ListHook arrival_hook;
    u64 sigwait_set;  // signals a sigtimedwait in progress takes
    AltStack alt;
    u8 fault_info[128];  // siginfo of a synchronous fault, between handler and frame

    // thread
    u32 forked_by_pid, forked_by_thread;  // direct: struct ForkedBy (host/handoff.h)
    bool trace_me;                        // asked to be traced, which has not begun yet (process/direct.cc, process/traced.cc)
    bool setxid_round;                    // told every other thread to change credentials too: a libc's set*id
    bool in_setxid;                       // in the handler that does so
    bool owns_io;                         // asked for the signals of a descriptor, as a thread (F_SETOWN_EX)
    char name[16];                        // PR_SET_NAME
    u64 stack_top;                        // the stack pointer it started with
    u64 trim_from, trim_to;  // stack that it gave back, not yet told to the kernel (memory/trims.h); trim_to 0: none
    u64 clear_child_tid;     // CLONE_CHILD_CLEARTID / set_tid_address
    u64 robust_head;
    u64 robust_bytes;

    bool registered;  // in the registry

    // scheduling attributes as the guest set them; the worker's own stay as they are (syscalls/sched_calls.cc)
    bool sched_set, nice_set, ioprio_set;
    i32 sched_policy, sched_priority, nice, ioprio;
    u64 affinity[16];

    // traced by a child in the same memory (process/same_memory_tracer.cc): its id, 0: none
    u32 tracer;
    std::atomic<u32> trace_state;
    i32 trace_signal;  // that stopped it; then the one with which it goes on

    ListHook registry_hook;
    Coroutine* tid_next;  // in the registry's table of ids
    Coroutine* free_next;

    // Looked at by ticks only: last, so that nothing else fetches it.
    SpinLook spin;
};

inline constexpr u32 kNoCall = ~0u;
// As waits_for. The last four are libocrun's.
inline constexpr char kWaitsForDescriptor[] = "descriptor";
inline constexpr char kWaitsForWord[] = "futex", kWaitsForTime[] = "sleep", kWaitsForSignals[] = "sigwait", kWaitsInPause[] = "pause";
inline constexpr char kWaitsInSuspend[] = "sigsuspend", kTaskParks[] = "task", kTaskJoins[] = "join", kTaskSleeps[] = "sleep", kTaskLocks[] = "lock";
// Others of this process, time or a signal end the wait.
inline bool waits_for_no_descriptor(const char* what) {
    for (const char* one : {kWaitsForWord, kWaitsForTime, kWaitsForSignals, kWaitsInPause, kWaitsInSuspend, kTaskParks, kTaskJoins, kTaskSleeps, kTaskLocks})
        if (what == one) return true;
    return false;
}

// The pool, for observers (bpf/events.h, struct oc_board): chunks of kSlotsPerChunk coroutines. What switches touch lies dense
// (coroutine, extended state), and from some number on in large pages; runtime stacks lie apart, each above its guard.
inline constexpr size_t kSlotsPerChunk = 64;
struct CoroutinePool {
    u8** chunks;
    u64 chunk_count;
    u64 fresh;       // slots of the newest chunk handed out so far
    u64 slot_bytes;  // from one coroutine to the next
};
extern CoroutinePool g_pool;

// Geometry, once at start-up. runtime_stack_bytes is what the policy gives.
void coroutine_pool_init(u64 runtime_stack_bytes);
// A coroutine, or nullptr when memory is refused. Its extended state is the caller's to set (reset_xstate, copy_xstate). Not in
// the registry yet.
Coroutine* coroutine_alloc();
// The slot may be reused at once; the caller no longer runs on its stack, which is given back.
void coroutine_free(Coroutine* c);
// A runtime stack, its top, and back with it. As long as no more are taken than there are coroutines and what was reserved beyond, there
// is one: nothing can be done without where a coroutine is to go on. Any thread of ours.
u64 runtime_stack_take();
void runtime_stack_give(u64 top);
// So many beyond the coroutines' number: false when memory is refused.
bool runtime_stacks_reserve(u32 n);
// A fiber on the stack `top` that begins with c->resume(c).
boost::context::detail::fcontext_t fiber_on(u64 top);
// In the child of a fork: every slot but `survivor` is free again.
void coroutine_pool_after_fork(Coroutine* survivor);

// The registry of all live coroutines of the process.
using Registry = boost::intrusive::list<Coroutine, boost::intrusive::member_hook<Coroutine, ListHook, &Coroutine::registry_hook>,
                                        boost::intrusive::constant_time_size<true>>;
extern Lock g_registry_lock;
Registry& registry();  // walk it with g_registry_lock held
void registry_add(Coroutine* c);
void registry_remove(Coroutine* c);
// Caller holds g_registry_lock. nullptr when no live coroutine has the tid. An id does not change while it is registered.
Coroutine* registry_find(u32 tid);

}  // namespace ocrun
