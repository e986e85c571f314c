// scheduler.cc - parking, waking and switching (see scheduler.h)
#include "runtime/sched/scheduler.h"

#include <time.h>

#include <new>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/switch.h"
#include "runtime/sched/warm.h"

namespace ocrun {

using boost::context::detail::transfer_t;

std::atomic<u64> g_shared_pending_bits{0};
bool g_multi;

SchedulerHooks g_hooks;

namespace {

// May a timer be due? Not as long as not enough time-stamp ticks passed since the clock was last read, however slow they are: a
// timer that is far away costs no system call.
bool timer_may_be_due(KThread* t) {
    constexpr u64 kMostNsOfTick = 2;
    u64 next = timers_next(), tsc = __builtin_ia32_rdtsc();
    if (next == kNever || (next > t->clock_ns && tsc - t->clock_tsc < (next - t->clock_ns) / kMostNsOfTick)) return false;
    t->clock_tsc = tsc;
    t->clock_ns = now_or_earlier_ns();
    return true;
}

struct Moment {
    u64 earliest_ns, latest_ns;
};
Moment near_now() {
    KThread* t = this_thread();
    Moment m;
    u64 before = __builtin_ia32_rdtsc();
    if (t->clock.guess(before, &m.earliest_ns, &m.latest_ns)) return m;
    m.earliest_ns = m.latest_ns = now_ns();
    if (cpu_facts().even_ticks) t->clock.note(before, m.earliest_ns, __builtin_ia32_rdtsc());
    return m;
}

}  // namespace

void housekeeping() {
    attend();
    if (KThread* t = this_thread(); timer_may_be_due(t)) timers_run(t->clock_ns);
    g_hooks.poll_io(0);
    this_thread()->housekept_tsc = __builtin_ia32_rdtsc();
}

void switch_to(Coroutine* from, After action, Coroutine* to) { switch_now(from, action, to); }

namespace {

// The coroutine that leaves fought for a lock with one of another worker, and `next` would go on with that: each attempt costs
// both sides a call and the lock's way between the CPUs, and sections get few. So the other side has the lock for itself for a while.
// Natively this comes of itself: waking a thread on another CPU takes longer.
[[gnu::cold]] void leave_the_lock(KThread* t, Coroutine* next) {
    constexpr u64 kTicks = 12500;  // some 5 us
    u64 lock = t->fought_for;
    t->fought_for = 0;
    if (!next || next->waits_detail != lock) return;
    u64 begin = __builtin_ia32_rdtsc();
    while (__builtin_ia32_rdtsc() - begin < kTicks && !t->latched.load(std::memory_order_relaxed))
        for (int i = 0; i < 8; i++) __builtin_ia32_pause();
}

// Who runs behind c, which parks or yields (nullptr: the idle loop); only a yield can find c itself.
[[gnu::always_inline]] inline Coroutine* next_behind(Coroutine* c) {
    pay_owed(c);
    KThread* t = this_thread();
    if (++t->schedule_count % kHousekeepingSwitches == 0 && __builtin_ia32_rdtsc() - t->housekept_tsc > kHousekeepingTicks) housekeeping();
    // Without a place it runs nobody else; the idle loop parks it.
    Coroutine* next = t->retaken.load(std::memory_order_relaxed) ? nullptr : next_ready();
    if (__builtin_expect(t->fought_for != 0, 0)) leave_the_lock(t, next);
    if (next && next != c) {
        warm_next(t);
        // The one that leaves may wait for a timer that no idle worker knows of.
        if (!t->owner.load(std::memory_order_relaxed)) tick_want(false);
    }
    return next;
}

void leave(Coroutine* c, After action) {
    Coroutine* next = next_behind(c);
    if (next == c) {
        // A parking coroutine is never in a queue before its stack is left; only a yield can find itself.
        c->sched_state.store(0, std::memory_order_relaxed);
        return;
    }
    switch_to(c, action, next);
}

// c has left its stack: from here on others may run it.
inline void switched_out(Coroutine* c) {
    if (c->sched_state.exchange(kSwitchedOut, std::memory_order_acq_rel) & kNotified) enqueue(c);
}

// A stack that nobody is on any more. (Pinned threads give it back: so many are not reserved.)
void keep_stack(u64 stack) {
    KThread* t = this_thread();
    if (!t->spare_stack && !t->owner.load(std::memory_order_relaxed))
        t->spare_stack = stack;
    else
        runtime_stack_give(stack);
}

// Off its stack. Returns if the next one has none, with that.
Coroutine* leave_stack(Coroutine* c) {
    Coroutine* next = next_behind(c);
    KThread* t = this_thread();
    SwitchRecord record{c, After::without_stack, c->runtime_stack};
    change_coroutine(t, c, After::without_stack, next);
    c->fiber = nullptr;
    c->runtime_stack = 0;
    if (next && !next->fiber) {
        next->runtime_stack = record.stack;
        switched_out(c);
        return next;
    }
    oc_switch(next ? next->fiber : t->idle_fiber, &record);
    check_failed("a stack was gone back to that its coroutine had left", __FILE__, __LINE__);
}

}  // namespace

boost::context::detail::fcontext_t give_stack(KThread* t, Coroutine* to) {
    u64 stack = t->spare_stack;
    t->spare_stack = 0;
    to->runtime_stack = stack ? stack : runtime_stack_take();
    return fiber_on(to->runtime_stack);
}

void finish(transfer_t from) {
    SwitchRecord record = *(SwitchRecord*)from.data;
    Coroutine* c = record.from;
    if (record.action == After::start) return;
    if (!c) {
        this_thread()->idle_fiber = from.fctx;
        std::atomic_thread_fence(std::memory_order_seq_cst);
        return;
    }
    switch (record.action) {
        case After::parked:
            c->fiber = from.fctx;
            switched_out(c);
            break;
        case After::without_stack:
            keep_stack(record.stack);
            switched_out(c);
            break;
        case After::requeue:
            c->fiber = from.fctx;
            enqueue(c, ReadyWhy::requeued);
            break;
        case After::surplus:
            c->fiber = from.fctx;
            enqueue_common(c);
            break;
        case After::handed:
            handed(c, from.fctx);
            break;
        case After::dead:
            keep_stack(c->runtime_stack);
            c->runtime_stack = 0;
            coroutine_free(c);
            break;
        case After::start:
            break;
    }
}

extern "C" void oc_finish_switch(transfer_t from) { finish(from); }

void worker_starts(KThread* t) {
    // The loop runs on this very stack; the fiber is where switch_to finds it again.
    (void)t;
    g_hooks.worker_starts();
}

void attend_now() {
    g_hooks.drain_signals();
    worker_attend();
    observe_attend();
}

// The first worker's is part of the image, without a call and a mapping of its own; aligned here, because an alignment in the
// file would make a segment more.
OC_APART static u8 g_first_block[2 * kThreadBlockBytes];
static std::atomic<bool> g_first_taken{false};

KThread* kthread_alloc(ThreadKind kind) {
    KThread* t = g_first_taken.load(std::memory_order_relaxed) || g_first_taken.exchange(true, std::memory_order_relaxed)
                     ? (KThread*)pages_alloc_aligned(kThreadBlockBytes, kThreadBlockBytes)
                     : (KThread*)(((u64)g_first_block + kThreadBlockBytes - 1) & ~u64(kThreadBlockBytes - 1));
    if (t) {
        t->self = t;
        t->kind = kind;
        new (&t->ranked) Ranked;
    }
    return t;
}

void kthread_free(KThread* thread) {
    observe_thread_gone(thread);
    pages_free(thread, kThreadBlockBytes);
}

u64 now_ns() {
    timespec t;
    hot_sys(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return u64(t.tv_sec) * 1000000000ul + u64(t.tv_nsec);
}

u64 now_or_later_ns() { return near_now().latest_ns; }
u64 now_or_earlier_ns() { return near_now().earliest_ns; }

u64 realtime_ns() {
    timespec t;
    hot_sys(__NR_clock_gettime, CLOCK_REALTIME, &t);
    return u64(t.tv_sec) * 1000000000ul + u64(t.tv_nsec);
}

void scheduler_init(const SchedulerHooks& hooks, KThread* first) {
    g_hooks = hooks;
    timers_init();
    prepare_idle(first);
}

u64 wait_begin(Coroutine* c, bool interruptible) {
    u64 token = (c->wait_sequence = (c->wait_sequence | 1) + 1) << 8;  // even: no park of the function table (permit.h)
    c->wait_interruptible = interruptible;
    c->wait_word.store(token, std::memory_order_release);
    // Before anybody looks for signals: who makes one pending looks at the wait word afterwards (wake_for_signal); only workers do.
    if (!only_worker()) std::atomic_thread_fence(std::memory_order_seq_cst);
    return token;
}

namespace {

bool woken(Coroutine* c, WakeReason reason) {
    if (next_is_free()) warm(c);
    observe_wake(c, reason);
    if (left_its_stack(c)) enqueue(c, reason == WakeReason::woken ? ReadyWhy::woken : ReadyWhy::other);
    return true;
}

}  // namespace

bool wake(Coroutine* c, u64 token, WakeReason reason) {
    u64 expected = token;
    return c->wait_word.compare_exchange_strong(expected, token | u8(reason), std::memory_order_acq_rel) && woken(c, reason);
}

bool wake_by_worker(Coroutine* c, u64 token, WakeReason reason) {
    if (!only_worker()) return wake(c, token, reason);
    if (c->wait_word.load(std::memory_order_relaxed) != token) return false;
    c->wait_word.store(token | u8(reason), std::memory_order_relaxed);
    return woken(c, reason);
}

void wake_for_signal(Coroutine* c) {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // what is pending first: a park is announced, then looks at it
    u64 word = c->wait_word.load(std::memory_order_seq_cst);
    if ((word & 0xff) == u8(WakeReason::none) && c->wait_interruptible && wake(c, word, WakeReason::signal)) return;
    // Running elsewhere: its worker has to look.
    KThread* t = static_cast<KThread*>(c->on.load(std::memory_order_seq_cst));
    if (t && t != this_thread() && t->kind == ThreadKind::worker) worker_kick(t);
}

WakeReason wait_park(Coroutine* c, u64 deadline_ns, const char* what, u64 detail) {
    u64 token = c->wait_sequence << 8;
    if (c->wait_interruptible && signal_pending(c)) wake(c, token, WakeReason::signal);
    bool timed = deadline_ns != kNever;
    if (timed) timer_arm(c, token, deadline_ns);
    if (timed && c->pinned) call_for_a_look();  // a pinned thread polls nothing
    c->waits_detail = detail;
    if (observed()) c->parked_since_tsc = __builtin_ia32_rdtsc();  // else the switch notes it
    c->waits_for = what;
    observe_park(c);
    if (!(c->sched_state.load(std::memory_order_acquire) & kNotified)) leave(c, After::parked);
    return wait_ended(c);
}

Coroutine* park_without_stack(Coroutine* c) {
    c->prepared = false;
    if (c->wait_interruptible && signal_pending(c)) wake(c, c->wait_sequence << 8, WakeReason::signal);
    if (observed()) c->parked_since_tsc = __builtin_ia32_rdtsc();
    observe_park(c);
    return c->sched_state.load(std::memory_order_acquire) & kNotified ? c : leave_stack(c);
}

namespace {

// Ends next's park: true when the caller is to run or to queue it.
bool claim_parked(Coroutine* next) {
    u64 word = next->wait_word.load(std::memory_order_acquire);
    bool parked = parked_by_table(word);
    if (parked && only_worker())
        next->wait_word.store(word | u64(WakeReason::woken), std::memory_order_relaxed);
    else if (!parked || !next->wait_word.compare_exchange_strong(word, word | u64(WakeReason::woken), std::memory_order_acq_rel)) {
        leave_permit(next);
        return false;
    }
    observe_wake(next, WakeReason::woken);
    return left_its_stack(next);
}

}  // namespace

long hand_over(Coroutine* c, Coroutine* next, const char* what) {
    bool ready = claim_parked(next);
    KThread* t = this_thread();
    // Not past the housekeeping, nor past those that may come first, nor when there is no reason to wait; a pinned thread runs its
    // own coroutine only, and a worker without a place nobody else.
    bool at_once = ready && (t->schedule_count + 1) % kHousekeepingSwitches != 0 && !signal_pending(c) &&
                   !c->permit.load(std::memory_order_relaxed) && t->ranked.empty() && !next->pinned && !c->pinned && !t->retaken.load(std::memory_order_relaxed);
    if (__builtin_expect(!at_once, 0)) {
        if (ready) enqueue(next);
        return park_result(c, park(c, kNever, what));
    }
    pay_owed(c);
    c->wait_interruptible = true;
    c->waits_detail = 0;
    if (observed()) c->parked_since_tsc = __builtin_ia32_rdtsc();
    c->waits_for = what;
    observe_park(c);
    t->schedule_count++;
    next->table_words_set = c->table_mxcsr == next->table_mxcsr && c->table_x87_control == next->table_x87_control;
    switch_now(c, After::handed, next);
    c->waits_for = nullptr;
    return park_result(c, WakeReason(c->wait_word.load(std::memory_order_acquire) & 0xff));
}

void make_ready(Coroutine* c) {
    enqueue(c, ReadyWhy::woken);
    monitor_wake();
}

u64 coroutine_cpu_tsc(const Coroutine* c) {
    for (;;) {
        // Where it runs its present slice counts too; `switches` tells whether it stayed there meanwhile.
        u64 before = __atomic_load_n(&c->switches, __ATOMIC_ACQUIRE), ticks = c->cpu_tsc;
        KThread* t = static_cast<KThread*>(c->on.load(std::memory_order_seq_cst));
        if (!t) return ticks;
        i64 slice = i64(__builtin_ia32_rdtsc() - t->switched_in_tsc);
        if (c->on.load(std::memory_order_seq_cst) == t && __atomic_load_n(&c->switches, __ATOMIC_ACQUIRE) == before)
            return ticks + u64(slice > 0 ? slice : 0);
    }
}

void move_home(Coroutine* c) {
    pay_owed(c);
    switch_to(c, After::requeue, nullptr);
}

void exit_coroutine(Coroutine* c) {
    if (c->pinned) this_thread()->ended = true;
    leave(c, After::dead);
    check_failed("a dead coroutine ran again", __FILE__, __LINE__);
}

void scheduler_after_fork() {
    observe_after_fork();
    KThread* t = this_thread();
    t->spare_stack = 0;
    t->clock = {};  // it may have a time of its own (time_namespaces(7))
    this_coroutine()->owed.store(nullptr, std::memory_order_relaxed);
    run_queues_after_fork(t);
    idle_after_fork();
    timers_after_fork();
    prepare_idle(t);
    workers_after_fork();
    g_multi = false;
}

void scheduler_start(Coroutine* c) {
    SwitchRecord record{nullptr, After::start, 0};
    c->sched_state.store(0, std::memory_order_relaxed);
    this_thread()->current = c;
    c->on.store(this_thread(), std::memory_order_relaxed);
    segment_bases_begin();
    load_fs_base(c);
    oc_switch(way_to(this_thread(), c), &record);
    check_failed("the launcher's stack was resumed", __FILE__, __LINE__);
}

}  // namespace ocrun
