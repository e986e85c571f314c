// scheduler.cc - run queues, parking and waking, the idle loop (see scheduler.h)
#include "runtime/sched/scheduler.h"

#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/timers.h"

namespace ocrun {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
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
std::atomic<u32> g_inject_count{0};
std::atomic<u32> g_sleepers{0};

enum class After : u8 { parked, requeue, dead, start };
struct SwitchRecord {
    Coroutine* from;  // nullptr: the idle loop
    After action;
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
    if (!*head) *tail = nullptr;
    return c;
}

void enqueue(Coroutine* c) {
    KThread* t = this_thread();
    if (t->kind == ThreadKind::worker) {
        Locked held(t->run_lock);
        push(&t->run_head, &t->run_tail, c);
        t->run_count.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    {
        Locked held(g_inject_lock);
        push(&g_inject_head, &g_inject_tail, c);
        g_inject_count.fetch_add(1, std::memory_order_seq_cst);
    }
    if (g_sleepers.load(std::memory_order_seq_cst)) g_hooks.kick();
}

Coroutine* next_ready() {
    KThread* t = this_thread();
    if (t->run_count.load(std::memory_order_relaxed)) {
        Locked held(t->run_lock);
        Coroutine* c = pop(&t->run_head, &t->run_tail);
        if (c) {
            t->run_count.fetch_sub(1, std::memory_order_relaxed);
            return c;
        }
    }
    if (g_inject_count.load(std::memory_order_seq_cst)) {
        Locked held(g_inject_lock);
        Coroutine* c = pop(&g_inject_head, &g_inject_tail);
        if (c) g_inject_count.fetch_sub(1, std::memory_order_relaxed);
        return c;
    }
    return nullptr;
}

void housekeeping() {
    if (this_thread()->latched.load(std::memory_order_relaxed)) g_hooks.drain_signals();
    if (!timers_empty()) timers_run(now_ns());
    g_hooks.poll_io(0);
}

// Leaves `from` (nullptr: the idle loop) for `to` (nullptr: the idle loop); returns when `from` runs again.
void switch_to(Coroutine* from, After action, Coroutine* to) {
    KThread* t = this_thread();
    SwitchRecord record{from, action};
    fcontext_t target = t->idle_fiber;
    u64 tsc = __builtin_ia32_rdtsc();
    if (from) {
        from->fs_base = read_fs_base();
        from->cpu_tsc += tsc - t->switched_in_tsc;
    }
    t->switched_in_tsc = tsc;
    if (to) {
        to->sched_state.store(0, std::memory_order_relaxed);
        to->switches++;
        write_fs_base(to->fs_base);
        if (__builtin_expect(to->affinity_set || t->affinity_applied, 0)) apply_affinity(to);
        target = to->fiber;
    }
    t->current = to;
    finish(jump_fcontext(target, &record));
}

void leave(Coroutine* c, After action) {
    KThread* t = this_thread();
    if (++t->schedule_count % kHousekeepingSwitches == 0) housekeeping();
    Coroutine* next = next_ready();
    if (next == c) {
        // A parking coroutine is never in a queue before its stack is left; only a yield can find itself.
        c->sched_state.store(0, std::memory_order_relaxed);
        return;
    }
    switch_to(c, action, next);
}

// Runs first in whatever was switched to: completes what the one that left could not do on its own stack.
void finish(transfer_t from) {
    SwitchRecord record = *(SwitchRecord*)from.data;
    Coroutine* c = record.from;
    if (record.action == After::start) return;
    if (!c) {
        this_thread()->idle_fiber = from.fctx;
        return;
    }
    switch (record.action) {
        case After::parked:
            c->fiber = from.fctx;
            if (c->sched_state.fetch_or(kSwitchedOut, std::memory_order_acq_rel) & kNotified) enqueue(c);
            break;
        case After::requeue:
            c->fiber = from.fctx;
            enqueue(c);
            break;
        case After::dead:
            coroutine_free(c);
            break;
        case After::start:
            break;
    }
}

}  // namespace

extern "C" void oc_finish_switch(transfer_t from) { finish(from); }

namespace {

void idle_main(transfer_t from) {
    finish(from);
    for (;;) {
        KThread* t = this_thread();
        if (t->latched.load(std::memory_order_relaxed)) g_hooks.drain_signals();
        if (t->need_resched.exchange(false, std::memory_order_relaxed) && !t->idle_ticks.load(std::memory_order_relaxed)) {
            // A whole tick without work: no more of them until there is some.
            t->idle_ticks.store(true, std::memory_order_relaxed);
            g_hooks.idle(true);
        }
        u64 next = timers_empty() ? kNever : timers_run(now_ns());
        Coroutine* c = next_ready();
        if (!c) {
            // Announce the sleep first, then look once more: a helper that queues after the look sees the sleeper.
            g_sleepers.fetch_add(1, std::memory_order_seq_cst);
            c = next_ready();
            if (!c) {
                u64 wait = kNever;
                if (next != kNever) {
                    u64 now = now_ns();
                    wait = next > now ? next - now : 0;
                }
                g_hooks.poll_io(wait);
            }
            g_sleepers.fetch_sub(1, std::memory_order_seq_cst);
        }
        if (!c) continue;
        if (t->idle_ticks.load(std::memory_order_relaxed)) {
            t->idle_ticks.store(false, std::memory_order_relaxed);
            g_hooks.idle(false);
        }
        switch_to(nullptr, After::parked, c);
    }
}

void prepare_idle(KThread* t) { t->idle_fiber = make_fcontext(kthread_stack_top(t), kIdleStackBytes, idle_main); }

}  // namespace

KThread* kthread_alloc(ThreadKind kind) {
    KThread* t = (KThread*)pages_alloc_aligned(kThreadBlockBytes, kThreadBlockBytes);
    if (t) {
        t->self = t;
        t->kind = kind;
    }
    return t;
}

void kthread_free(KThread* thread) { pages_free(thread, kThreadBlockBytes); }

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
    u64 token = ++c->wait_sequence << 8;
    c->wait_interruptible = interruptible;
    c->wait_word.store(token, std::memory_order_seq_cst);
    return token;
}

bool wake(Coroutine* c, u64 token, WakeReason reason) {
    u64 expected = token;
    if (!c->wait_word.compare_exchange_strong(expected, token | u8(reason), std::memory_order_acq_rel)) return false;
    if (c->sched_state.fetch_or(kNotified, std::memory_order_acq_rel) & kSwitchedOut) enqueue(c);
    return true;
}

void wake_for_signal(Coroutine* c) {
    u64 word = c->wait_word.load(std::memory_order_seq_cst);
    if ((word & 0xff) == u8(WakeReason::none) && c->wait_interruptible) wake(c, word, WakeReason::signal);
}

WakeReason wait_park(Coroutine* c, u64 deadline_ns, const char* what, u64 detail) {
    u64 token = c->wait_sequence << 8;
    if (c->wait_interruptible && signal_pending(c)) wake(c, token, WakeReason::signal);
    bool timed = deadline_ns != kNever;
    if (timed) timer_arm(c, token, deadline_ns);
    c->waits_detail = detail;
    c->parked_since_ns = 0;
    c->waits_for = what;
    if (!(c->sched_state.load(std::memory_order_acquire) & kNotified)) leave(c, After::parked);
    c->sched_state.store(0, std::memory_order_relaxed);
    c->waits_for = nullptr;
    if (timed) timer_disarm(c);
    return WakeReason(c->wait_word.load(std::memory_order_acquire) & 0xff);
}

void make_ready(Coroutine* c) { enqueue(c); }

void yield_now(Coroutine* c) {
    KThread* t = this_thread();
    bool empty = !t->run_count.load(std::memory_order_relaxed) && !g_inject_count.load(std::memory_order_relaxed);
    if (empty || ++t->schedule_count % kHousekeepingSwitches == 0) housekeeping();
    Coroutine* next = next_ready();
    if (next) switch_to(c, After::requeue, next);
}

void apply_affinity(const Coroutine* c) {
    KThread* t = this_thread();
    if (c->affinity_set) {
        if (!t->affinity_applied && is_error(sys(__NR_sched_getaffinity, 0, sizeof t->affinity, t->affinity))) return;
        t->affinity_applied = true;
        sys(__NR_sched_setaffinity, 0, sizeof c->affinity, c->affinity);
    } else {
        sys(__NR_sched_setaffinity, 0, sizeof t->affinity, t->affinity);
        t->affinity_applied = false;
    }
}

u64 coroutine_cpu_tsc(const Coroutine* c) {
    u64 ticks = c->cpu_tsc;
    if (this_thread()->current == c) ticks += __builtin_ia32_rdtsc() - this_thread()->switched_in_tsc;
    return ticks;
}

bool others_runnable() {
    return this_thread()->run_count.load(std::memory_order_relaxed) || g_inject_count.load(std::memory_order_relaxed) ||
           registry().size() > 1;
}

void exit_coroutine(Coroutine* c) {
    leave(c, After::dead);
    check_failed("a dead coroutine ran again", __FILE__, __LINE__);
}

void scheduler_after_fork() {
    KThread* t = this_thread();
    t->run_lock.reset();
    t->run_head = t->run_tail = nullptr;
    t->run_count.store(0, std::memory_order_relaxed);
    t->idle_ticks.store(false, std::memory_order_relaxed);
    g_inject_lock.reset();
    g_inject_head = g_inject_tail = nullptr;
    g_inject_count.store(0, std::memory_order_relaxed);
    g_sleepers.store(0, std::memory_order_relaxed);
    timers_after_fork();
    prepare_idle(t);
    g_multi = false;
}

void scheduler_start(Coroutine* c) {
    SwitchRecord record{nullptr, After::start};
    c->sched_state.store(0, std::memory_order_relaxed);
    this_thread()->current = c;
    write_fs_base(c->fs_base);
    jump_fcontext(c->fiber, &record);
    check_failed("the launcher's stack was resumed", __FILE__, __LINE__);
}

}  // namespace ocrun
