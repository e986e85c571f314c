// scheduler.cc - run queues, parking and waking, the idle loop (see scheduler.h)
#include "runtime/sched/scheduler.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <time.h>

#include <new>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/permit.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/timers.h"
#include "runtime/sched/warm.h"
#include "runtime/sched/workers.h"
#include "runtime/sched/workers_internal.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

using boost::context::detail::fcontext_t;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

std::atomic<u64> g_shared_pending_bits{0};
bool g_multi;

namespace {

// A busy queue must not starve timers and descriptors: look at them once in so many switches (a prime, as Go's
// global-queue check, so that it does not lock step with periodic loads).
constexpr u32 kHousekeepingSwitches = 61;

SchedulerHooks g_hooks;

void finish(transfer_t from);

// Ready coroutines that no worker made ready (offload threads do).
Lock g_inject_lock;
Coroutine* g_inject_head;
Coroutine* g_inject_tail;
Coroutine* g_inject_urgent_head;  // those with a priority below 0
Coroutine* g_inject_urgent_tail;
std::atomic<u32> g_inject_count{0};

// Workers that look for work or are about to sleep: while one searches, nobody wakes another (a wake across CPUs costs
// some 25 us, more than most coroutines run).
std::atomic<u32> g_searching{0};
// The one idle worker that waits in epoll, and until when.
std::atomic<KThread*> g_poller{nullptr};
std::atomic<u64> g_poller_deadline{0};
// Looks around before an idle worker sleeps.
constexpr int kSpins = 64;

// As enum oc_switch_why. surplus: the worker has no place any more, its coroutine goes on elsewhere. handed: parks only once its
// stack is left.
enum class After : u8 { parked, requeue, dead, start, surplus, handed };
struct SwitchRecord {
    Coroutine* from;  // nullptr: the idle loop
    After action;
};

// No other worker was ever started, so nobody else looks at this one's queue and at what it runs, and locks and fences against
// those are spared: the first other one is started by this very thread, outside of what they guard (worker_start_one).
bool only_worker() { return workers_started() == 1; }

class LockedQueue {
public:
    explicit LockedQueue(KThread* t) : lock_(only_worker() ? nullptr : &t->run_lock) {
        if (lock_) lock_->lock();
    }
    ~LockedQueue() {
        if (lock_) lock_->unlock();
    }
    LockedQueue(const LockedQueue&) = delete;
    LockedQueue& operator=(const LockedQueue&) = delete;

private:
    Lock* lock_;
};

void push(Coroutine** head, Coroutine** tail, Coroutine* c) {
    c->run_next = nullptr;
    if (*tail)
        (*tail)->run_next = c;
    else
        *head = c;
    *tail = c;
}

Coroutine* pop(Coroutine** head, Coroutine** tail) {
    Coroutine* c = *head;
    if (!c) return nullptr;
    *head = c->run_next;
    __builtin_prefetch(&c->run_next->run_next);  // a line on which the next switch would wait; nullptr does no harm
    if (!*head) *tail = nullptr;
    return c;
}

// A worker's queue, its run_lock held; who calls keeps run_count.
void push_ready(KThread* t, Coroutine* c) {
    if (__builtin_expect(c->priority != 0, 0))
        t->ranked.push(c);
    else
        push(&t->run_head, &t->run_tail, c);
}
Coroutine* pop_ranked(KThread* t) {
    u32 turn = t->ranked.turn();
    if (turn % Ranked::kFairTurn == 0) {
        if (turn / Ranked::kFairTurn % 2 || !t->run_head) return t->ranked.pop_oldest();
        return pop(&t->run_head, &t->run_tail);
    }
    return t->ranked.first_priority() < 0 || !t->run_head ? t->ranked.pop_first() : pop(&t->run_head, &t->run_tail);
}
inline Coroutine* pop_ready(KThread* t) {
    return __builtin_expect(t->ranked.empty(), 1) ? pop(&t->run_head, &t->run_tail) : pop_ranked(t);
}
// Does whoever waits in t's queue have to wait on, because c, which runs, comes before? Now and then nobody has.
bool outranks(Coroutine* c, KThread* t) {
    if (__builtin_expect(!c->priority && t->ranked.empty(), 1)) return false;
    Locked held(t->run_lock);
    i64 best = t->ranked.empty() || (t->run_head && t->ranked.first_priority() > 0) ? 0 : t->ranked.first_priority();
    return c->priority < best && t->ranked.turn() % Ranked::kFairTurn != 0;
}

// Into the common queue; somebody idle is made to look.
void enqueue_common(Coroutine* c) {
    {
        Locked held(g_inject_lock);
        if (c->priority < 0)
            push(&g_inject_urgent_head, &g_inject_urgent_tail, c);
        else
            push(&g_inject_head, &g_inject_tail, c);
        g_inject_count.fetch_add(1, std::memory_order_seq_cst);
    }
    // If all workers are idle one must get up; busy ones look at every switch.
    if (KThread* poller = idle_poller(); poller && poller != this_thread())
        g_hooks.kick();
    else if (!sleeper_wake())
        worker_start_one();
}

void enqueue_home(Coroutine* c) {
    KThread* home = static_cast<KThread*>(c->home);
    {
        Locked held(home->run_lock);
        push_ready(home, c);
        home->run_count.store(1, std::memory_order_seq_cst);
    }
    if (home == this_thread() || home->sleep_word.exchange(1, std::memory_order_seq_cst)) return;
    sys(__NR_futex, &home->sleep_word, FUTEX_WAKE_PRIVATE, 1);
}

void enqueue(Coroutine* c) {
    if (__builtin_expect(c->pinned, 0)) return enqueue_home(c);
    KThread* t = this_thread();
    if (t->kind == ThreadKind::worker && !t->owner.load(std::memory_order_relaxed) && !t->retaken.load(std::memory_order_relaxed)) {
        u32 waiting;
        {
            LockedQueue held(t);
            push_ready(t, c);
            // Changed under the lock only; others look at it without.
            waiting = t->run_count.load(std::memory_order_relaxed) + 1;
            t->run_count.store(waiting, std::memory_order_release);
        }
        // One ready coroutine is run here soon enough; the tick sees to it if not. call_for_help looks for sleepers, which look
        // at run_count before they sleep: the count has to be seen first.
        if (waiting > 1) {
            std::atomic_thread_fence(std::memory_order_seq_cst);
            call_for_help();
        }
        if (t->current) tick_want(true);
        return;
    }
    enqueue_common(c);
}

Coroutine* take_injected() {
    if (!g_inject_count.load(std::memory_order_seq_cst)) return nullptr;
    Locked held(g_inject_lock);
    // Urgent ones first, but not for ever.
    static u32 turns;
    Coroutine* c = ++turns % Ranked::kFairTurn ? pop(&g_inject_urgent_head, &g_inject_urgent_tail) : nullptr;
    if (!c) c = pop(&g_inject_head, &g_inject_tail);
    if (!c) c = pop(&g_inject_urgent_head, &g_inject_urgent_tail);
    if (c) g_inject_count.fetch_sub(1, std::memory_order_relaxed);
    return c;
}

Coroutine* next_ready() {
    KThread* t = this_thread();
    bool pinned = t->owner.load(std::memory_order_relaxed);
    // The common queue first once in a while: a worker that keeps itself busy must not starve it.
    if (!pinned && t->schedule_count % kHousekeepingSwitches == 0)
        if (Coroutine* c = take_injected()) return c;
    if (__builtin_expect(__atomic_load_n(&g_inject_urgent_head, __ATOMIC_RELAXED) != nullptr, 0) && !pinned)
        if (Coroutine* c = take_injected()) return c;
    if (t->run_count.load(std::memory_order_relaxed)) {
        LockedQueue held(t);
        Coroutine* c = pop_ready(t);
        if (c) {
            t->run_count.store(t->run_count.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
            return c;
        }
    }
    return pinned ? nullptr : take_injected();
}

// One coroutine alone in the queue of a worker that switches is run there sooner than here, where nothing of it is in the caches;
// two that take turns would be carried to and fro. Only when that worker has not switched for this long is it worth the way.
constexpr u64 kStealOneAfterTicks = 50000;  // some 20 us, what waking a thread on another CPU costs

bool worth_stealing(KThread* victim) {
    u32 count = victim->run_count.load(std::memory_order_seq_cst);
    if (count != 1 || victim->retaken.load(std::memory_order_relaxed)) return count;
    u32 schedules = __atomic_load_n(&victim->schedule_count, __ATOMIC_RELAXED);
    u64 now = __builtin_ia32_rdtsc();
    if (__atomic_load_n(&victim->thief_schedules, __ATOMIC_RELAXED) != schedules) {
        __atomic_store_n(&victim->thief_schedules, schedules, __ATOMIC_RELAXED);
        __atomic_store_n(&victim->thief_tsc, now, __ATOMIC_RELAXED);
        return false;
    }
    return i64(now - __atomic_load_n(&victim->thief_tsc, __ATOMIC_RELAXED)) > i64(kStealOneAfterTicks);
}

// Half of another worker's queue; the oldest is returned, the rest becomes this worker's.
Coroutine* steal() {
    KThread* t = this_thread();
    u32 n = workers_started();
    if (n < 2) return nullptr;
    u32 start = t->schedule_count++;
    for (u32 i = 0; i < n; i++) {
        KThread* victim = worker_at((start + i) % n);
        if (!victim || victim == t || victim->owner.load(std::memory_order_relaxed) || !worth_stealing(victim)) continue;
        Coroutine *first = nullptr, *head = nullptr, *tail = nullptr;
        u32 taken = 0;
        {
            Locked held(victim->run_lock);
            u32 count = victim->run_count.load(std::memory_order_relaxed);
            // Who is stuck in the kernel loses all.
            bool stuck = victim->retaken.load(std::memory_order_relaxed);
            for (u32 want = stuck ? count : (count + 1) / 2; want; want--) {
                Coroutine* c = pop_ready(victim);
                if (!c) break;
                victim->run_count.fetch_sub(1, std::memory_order_relaxed);
                if (!first) {
                    first = c;
                } else {
                    push(&head, &tail, c);
                    taken++;
                }
            }
        }
        if (taken) {
            Locked held(t->run_lock);
            while (Coroutine* c = pop(&head, &tail)) push_ready(t, c);
            t->run_count.fetch_add(taken, std::memory_order_seq_cst);
        }
        if (first) return first;
    }
    return nullptr;
}

void housekeeping() {
    attend();
    if (!timers_empty()) timers_run(now_ns());
    g_hooks.poll_io(0);
}

// The park of one that handed over begins here, off its stack: who unparks it may run it at once.
inline void handed(Coroutine* c, fcontext_t fiber) {
    c->fiber = fiber;
    c->sched_state.store(kSwitchedOut, std::memory_order_relaxed);
    if (__builtin_expect(announce_park(c), 0)) wake(c, c->wait_sequence << 8, WakeReason::woken);
}

// Leaves `from` (nullptr: the idle loop) for `to` (nullptr: the idle loop); returns when `from` runs again.
[[gnu::always_inline]] inline void switch_now(Coroutine* from, After action, Coroutine* to) {
    KThread* t = this_thread();
    SwitchRecord record{from, action};
    fcontext_t target = t->idle_fiber;
    u64 tsc = __builtin_ia32_rdtsc();
    observe_switch(t, from, u32(action == After::surplus ? After::requeue : action == After::handed ? After::parked : action), to, tsc);
    if (from) {
        if (from->xstate_live && action != After::dead) save_live_xstate(from);
        from->fs_base = fs_base_of(from);
        from->cpu_tsc += tsc - t->switched_in_tsc;
        if (action == After::parked || action == After::handed) from->parked_since_tsc = tsc;
        from->on.store(nullptr, std::memory_order_relaxed);
    }
    t->switched_in_tsc = tsc;
    if (to) {
        to->sched_state.store(0, std::memory_order_relaxed);
        to->switches++;
        to->on.store(t, std::memory_order_relaxed);  // seen before it looks at its signals: finish() has a fence on every way
        load_fs_base(to);
        if (__builtin_expect(to->affinity_set, 0)) affinity_apply(to);
        target = to->fiber;
    }
    t->current = to;
    transfer_t back = oc_switch(target, &record);
    SwitchRecord* left = (SwitchRecord*)back.data;
    if (__builtin_expect(left->action != After::handed, 0)) return finish(back);
    handed(left->from, back.fctx);
}

void switch_to(Coroutine* from, After action, Coroutine* to) { switch_now(from, action, to); }

void leave(Coroutine* c, After action) {
    pay_owed(c);
    KThread* t = this_thread();
    if (++t->schedule_count % kHousekeepingSwitches == 0) housekeeping();
    // Without a place it runs nobody else; the idle loop parks it.
    Coroutine* next = t->retaken.load(std::memory_order_relaxed) ? nullptr : next_ready();
    if (next == c) {
        // A parking coroutine is never in a queue before its stack is left; only a yield can find itself.
        c->sched_state.store(0, std::memory_order_relaxed);
        return;
    }
    if (next) warm_next(t->run_head);
    // The one that leaves may wait for a timer that no idle worker knows of.
    if (next && !t->owner.load(std::memory_order_relaxed)) tick_want(false);
    switch_to(c, action, next);
}

// Runs first in whatever was switched to: completes what the one that left could not do on its own stack.
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
            if (c->sched_state.exchange(kSwitchedOut, std::memory_order_acq_rel) & kNotified) enqueue(c);
            break;
        case After::requeue:
            c->fiber = from.fctx;
            enqueue(c);
            break;
        case After::surplus:
            c->fiber = from.fctx;
            enqueue_common(c);
            break;
        case After::handed:
            handed(c, from.fctx);
            break;
        case After::dead:
            coroutine_free(c);
            break;
        case After::start:
            break;
    }
}

}  // namespace

KThread* idle_poller() {
    KThread* t = g_poller.load(std::memory_order_seq_cst);
    return t && !t->retaken.load(std::memory_order_relaxed) ? t : nullptr;
}

namespace {

void kick_poller(KThread* poller) {
    // The monitor does not have the descriptor that g_hooks.kick writes to.
    if (this_thread()->kind == ThreadKind::monitor)
        worker_kick(poller);
    else
        g_hooks.kick();
}

}  // namespace

void poller_check_timers() {
    KThread* poller = idle_poller();
    if (poller && timers_next() < g_poller_deadline.load(std::memory_order_seq_cst)) kick_poller(poller);
}

void idle_work() { g_hooks.idle(); }

// Somebody idle should come and help: one searches already, or one gets up, or one more worker starts.
void call_for_help() {
    if (!g_multi || g_searching.load(std::memory_order_seq_cst)) return;
    if (sleeper_exists()) {
        sleeper_wake();
    } else if (KThread* poller = idle_poller()) {
        kick_poller(poller);
    } else {
        worker_start_one();
    }
}

bool somebody_idle() { return g_searching.load(std::memory_order_seq_cst) || sleeper_exists() || idle_poller(); }

bool work_waits() {
    if (g_inject_count.load(std::memory_order_seq_cst)) return true;
    for (u32 i = 0; i < workers_started(); i++)
        if (!worker_at(i)->owner.load(std::memory_order_relaxed) && worker_at(i)->run_count.load(std::memory_order_seq_cst)) return true;
    return false;
}

extern "C" void oc_finish_switch(transfer_t from) { finish(from); }

namespace {

// Sleeps until there may be work: in epoll if nobody else is there, on its own futex otherwise.
void idle_sleep(KThread* t, u64 next_timer) {
    KThread* nobody = nullptr;
    if (g_poller.compare_exchange_strong(nobody, t, std::memory_order_seq_cst)) {
        g_poller_deadline.store(next_timer, std::memory_order_seq_cst);
        // What was queued before the others could see the poller.
        bool work = t->run_count.load(std::memory_order_seq_cst) || g_inject_count.load(std::memory_order_seq_cst);
        u64 wait = kNever;
        if (next_timer != kNever) {
            u64 now = now_ns();
            wait = next_timer > now ? next_timer - now : 0;
        }
        g_hooks.poll_io(work ? 0 : wait);
        g_poller_deadline.store(0, std::memory_order_seq_cst);
        g_poller.store(nullptr, std::memory_order_seq_cst);
        return;
    }
    sleeper_register(t);
    bool work = g_inject_count.load(std::memory_order_seq_cst) != 0;
    for (u32 i = 0; i < workers_started() && !work; i++)
        work = worker_at(i) != t && !worker_at(i)->owner.load(std::memory_order_relaxed) && worker_at(i)->run_count.load(std::memory_order_seq_cst) > 1;
    // A timer armed after the poller went to sleep: it must not oversleep. And with no poller, somebody has to be it.
    if (next_timer < g_poller_deadline.load(std::memory_order_seq_cst)) g_hooks.kick();
    if (!g_poller.load(std::memory_order_seq_cst)) work = true;
    if (!work) {
        AsleepAway away;
        oc_syscall_intr(__NR_futex, (long)&t->sleep_word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    }
    sleeper_unregister(t);
}

}  // namespace

namespace {

// What a worker without a place has in its queue is everybody's.
void give_queue_away(KThread* t) {
    for (;;) {
        Coroutine* c;
        {
            Locked held(t->run_lock);
            c = pop_ready(t);
            if (c) t->run_count.fetch_sub(1, std::memory_order_relaxed);
        }
        if (!c) return;
        enqueue_common(c);
    }
}

}  // namespace

namespace {

// The idle loop of a pinned thread: it runs its coroutine or sleeps.
[[noreturn]] void pinned_loop(KThread* t) {
    for (;;) {
        t->slot->state = OC_WORKER_IDLE;
        attend();
        t->need_resched.store(false, std::memory_order_relaxed);
        t->sleep_word.store(0, std::memory_order_seq_cst);
        if (Coroutine* c = next_ready()) {
            t->slot->state = OC_WORKER_RUNNING;
            switch_to(nullptr, After::parked, c);
            if (t->ended) pinned_thread_ends();
            continue;
        }
        AsleepAway away;
        oc_syscall_intr(__NR_futex, (long)&t->sleep_word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    }
}

}  // namespace

void idle_loop() {
    if (this_thread()->owner.load(std::memory_order_relaxed)) pinned_loop(this_thread());
    for (;;) {
        KThread* t = this_thread();
        t->slot->state = OC_WORKER_IDLE;
        attend();
        // A whole tick without work: no more of them until there is some.
        if (t->need_resched.exchange(false, std::memory_order_relaxed)) {
            g_hooks.idle();
            tick_stop();
        }
        if (t->retaken.load(std::memory_order_seq_cst) && !worker_reclaim(false)) {
            give_queue_away(t);
            sleeper_wake();  // it may have been the poller until now
            spare_park();
            continue;
        }
        g_searching.fetch_add(1, std::memory_order_seq_cst);
        Coroutine* c = nullptr;
        u64 next = kNever;
        for (int i = 0; i < kSpins && !c; i++) {
            if (i == 0 && !timers_empty()) next = timers_run(now_ns());
            c = next_ready();
            if (!c) c = steal();
            if (workers_started() < 2) break;
            if (!c) __builtin_ia32_pause();
        }
        g_searching.fetch_sub(1, std::memory_order_seq_cst);
        if (!c) {
            // A coroutine queued while this one was the searcher nobody woke: one more look.
            c = next_ready();
            if (!c) c = steal();
        }
        if (!c) {
            idle_sleep(t, next);
            continue;
        }
        if (!c->affinity_set) affinity_relax();
        // Where one was there may be more: pass the search on.
        if (t->run_count.load(std::memory_order_relaxed)) call_for_help();
        if (registry().size() > 1) tick_want(t->run_count.load(std::memory_order_relaxed) != 0);
        __atomic_store_n(&t->slot->state, OC_WORKER_RUNNING, __ATOMIC_SEQ_CST);
        monitor_wake();
        switch_to(nullptr, After::parked, c);
    }
}

namespace {

void idle_main(transfer_t from) {
    finish(from);
    idle_loop();
}

void prepare_idle(KThread* t) { t->idle_fiber = make_fcontext(kthread_stack_top(t), kIdleStackBytes, idle_main); }

}  // namespace

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
static u8 g_first_block[2 * kThreadBlockBytes];
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
    sys(__NR_clock_gettime, CLOCK_MONOTONIC, &t);
    return u64(t.tv_sec) * 1000000000ul + u64(t.tv_nsec);
}

u64 realtime_ns() {
    timespec t;
    sys(__NR_clock_gettime, CLOCK_REALTIME, &t);
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

bool wake(Coroutine* c, u64 token, WakeReason reason) {
    u64 expected = token;
    if (!c->wait_word.compare_exchange_strong(expected, token | u8(reason), std::memory_order_acq_rel)) return false;
    warm(c);
    observe_wake(c, reason);
    if (left_its_stack(c)) enqueue(c);
    return true;
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
    if (timed && c->pinned) poller_check_timers();  // a pinned thread polls nothing
    c->waits_detail = detail;
    if (observed()) c->parked_since_tsc = __builtin_ia32_rdtsc();  // else the switch notes it
    c->waits_for = what;
    observe_park(c);
    if (!(c->sched_state.load(std::memory_order_acquire) & kNotified)) leave(c, After::parked);
    c->sched_state.store(0, std::memory_order_relaxed);
    c->waits_for = nullptr;
    if (timed) timer_disarm(c);
    return WakeReason(c->wait_word.load(std::memory_order_acquire) & 0xff);
}

namespace {

// Ends next's park: true when the caller is to run or to queue it.
bool claim_parked(Coroutine* next) {
    u64 word = next->wait_word.load(std::memory_order_acquire);
    if (!parked_by_table(word) || !next->wait_word.compare_exchange_strong(word, word | u64(WakeReason::woken), std::memory_order_acq_rel)) {
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
    switch_now(c, After::handed, next);
    c->waits_for = nullptr;
    return park_result(c, WakeReason(c->wait_word.load(std::memory_order_acquire) & 0xff));
}

void make_ready(Coroutine* c) {
    enqueue(c);
    monitor_wake();
}

namespace {

// The calling worker lost its place while it was in the kernel. True when it has one again; false: c was requeued and is
// chosen now, on whatever worker.
bool still_active(Coroutine* c) {
    if (!this_thread()->retaken.load(std::memory_order_relaxed)) return true;
    if (worker_reclaim(true)) {
        tick_want(false);  // its place may have been that of the idle one who polled
        return true;
    }
    switch_to(c, After::surplus, nullptr);
    return false;
}

// Did the signal that brought us here interrupt a call the guest made in the kernel, which is to be restarted? The kernel
// leaves rcx behind the `syscall` and sets rip back on it.
bool in_kernel_call(const Coroutine* c) { return c->regs.rcx == c->regs.rip + 2; }

}  // namespace

void yield_now(Coroutine* c) {
    if (c->pinned) {
        sys(__NR_sched_yield);
        return;
    }
    pay_owed(c);
    if (!still_active(c)) return;
    KThread* t = this_thread();
    bool empty = !t->run_count.load(std::memory_order_relaxed) && !g_inject_count.load(std::memory_order_relaxed);
    if (empty || ++t->schedule_count % kHousekeepingSwitches == 0) housekeeping();
    Coroutine* next = next_ready();
    if (next) switch_to(c, After::requeue, next);
}

bool preempted(Coroutine* c, bool ticked) {
    pay_owed(c);
    if (c->pinned) return false;  // there is nobody else
    if (this_thread()->retaken.load(std::memory_order_relaxed) && in_kernel_call(c)) {
        // Still in its call, which is restarted; nothing of this worker's is anybody's business until the call is over.
        tick_stop();
        return false;
    }
    if (!still_active(c)) return true;
    if (!ticked) return false;
    affinity_relax();
    if (__builtin_expect(this_thread()->wants_spare.load(std::memory_order_relaxed), 0)) {
        this_thread()->wants_spare.store(false, std::memory_order_relaxed);
        if (!in_kernel_call(c)) worker_ensure_spare();
    }
    observe_preempt(c);
    housekeeping();
    KThread* t = this_thread();
    bool queued = t->run_count.load(std::memory_order_relaxed) || g_inject_count.load(std::memory_order_relaxed);
    if (in_kernel_call(c) && (queued || !somebody_idle())) {
        // Others wait, and this one waits in the kernel, in a call of the guest's that is none of ours. It is not to be disturbed
        // again: the place and the queue go to another worker.
        if (worker_retake(t)) {
            tick_stop();
            give_queue_away(t);
            call_for_help();
            return false;
        }
    }
    // Who waits in epoll looks after timers and descriptors from now on. One that sleeps on its futex does not: it has to get up
    // and become the one that does; until then this worker goes on looking.
    bool relieved = idle_poller() != nullptr;
    if (!relieved && sleeper_exists()) sleeper_wake();
    if (relieved && !queued) poller_check_timers();
    // Where the queue moves by itself nobody has had a whole period yet: no switch, and ticks may come less often.
    constexpr u32 kMoves = 2;
    bool moves = t->schedule_count - t->tick_schedules >= kMoves;
    t->tick_schedules = t->schedule_count;
    tick_adapt(queued, moves, relieved || registry().size() < 2);
    if (moves) {
        if (t->run_count.load(std::memory_order_relaxed) > 1 || g_inject_count.load(std::memory_order_relaxed)) call_for_help();
        return true;
    }
    // Somebody idle may take what waits here; if all are busy this one makes room.
    if (queued) call_for_help();
    // Where only ticks switch, the common queue gets its turn by ticks: sixty of them would be long.
    constexpr u32 kCommonTurn = 4;
    Coroutine* next = ++t->schedule_count % kCommonTurn == 0 ? take_injected() : nullptr;
    if (!next && !outranks(c, t)) next = next_ready();
    if (next) switch_to(c, After::requeue, next);
    return true;
}

IntrResult blocking_syscall(u32 nr, const u64 a[6]) {
    KThread* t = this_thread();
    if (t->current) pay_owed(static_cast<Coroutine*>(t->current));
    if (!g_multi || t->kind != ThreadKind::worker)
        return oc_syscall_intr_told(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    oc_worker_slot* slot = t->slot;
    slot->nr = nr;
    slot->since_tsc = __builtin_ia32_rdtsc();
    slot->expect_block = 1;
    __atomic_store_n(&slot->state, OC_WORKER_NATIVE, __ATOMIC_RELEASE);
    IntrResult r = oc_syscall_intr_told(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    slot->state = OC_WORKER_RUNNING;
    slot->expect_block = 0;
    if (r.result == -EINTR && t->need_resched.exchange(false, std::memory_order_relaxed)) {
        // A tick found it waiting: its place is worth more to others.
        if (!t->retaken.load(std::memory_order_relaxed) && registry().size() > 1 &&
            (t->run_count.load(std::memory_order_relaxed) || g_inject_count.load(std::memory_order_relaxed) || !somebody_idle()))
            worker_retake(t);
        tick_stop();
        give_queue_away(t);
        call_for_help();
    }
    return r;
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
    this_coroutine()->owed.store(nullptr, std::memory_order_relaxed);
    t->run_lock.reset();
    t->run_head = t->run_tail = nullptr;
    new (&t->ranked) Ranked;
    t->run_count.store(0, std::memory_order_relaxed);
    g_inject_lock.reset();
    g_inject_head = g_inject_tail = g_inject_urgent_head = g_inject_urgent_tail = nullptr;
    g_inject_count.store(0, std::memory_order_relaxed);
    g_searching.store(0, std::memory_order_relaxed);
    g_poller.store(nullptr, std::memory_order_relaxed);
    g_poller_deadline.store(0, std::memory_order_relaxed);
    timers_after_fork();
    prepare_idle(t);
    workers_after_fork();
    g_multi = false;
}

void scheduler_start(Coroutine* c) {
    SwitchRecord record{nullptr, After::start};
    c->sched_state.store(0, std::memory_order_relaxed);
    this_thread()->current = c;
    c->on.store(this_thread(), std::memory_order_relaxed);
    segment_bases_begin();
    load_fs_base(c);
    oc_switch(c->fiber, &record);
    check_failed("the launcher's stack was resumed", __FILE__, __LINE__);
}

}  // namespace ocrun
