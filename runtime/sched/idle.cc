// idle.cc - a worker without work: it searches, then waits in epoll for all or sleeps on its own; and how it is made to get up
#include <linux/futex.h>

#include "runtime/sched/switch.h"
#include "runtime/sched/timers.h"
#include "runtime/sched/warm.h"

namespace ocrun {

using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

namespace {

// Workers that look for work or are about to sleep: while one searches, nobody wakes another (a wake across CPUs costs
// some 25 us, more than most coroutines run).
std::atomic<u32> g_searching{0};
// The one idle worker that waits in epoll, and until when.
std::atomic<KThread*> g_poller{nullptr};
std::atomic<u64> g_poller_deadline{0};
// Looks around before an idle worker sleeps.
constexpr int kSpins = 64;

}  // namespace

KThread* idle_poller() {
    KThread* t = g_poller.load(std::memory_order_seq_cst);
    return t && !t->retaken.load(std::memory_order_relaxed) ? t : nullptr;
}

void kick_poller(KThread* poller) {
    // The monitor does not have the descriptor that g_hooks.kick writes to, and a pinned thread may have descriptors of its own.
    KThread* t = this_thread();
    if (t->kind == ThreadKind::monitor || t->owner.load(std::memory_order_relaxed))
        worker_kick(poller);
    else
        g_hooks.kick();
}

void poller_check_timers() {
    // The timer first: the poller looks for a sooner one after it has said until when it sleeps. One without a place polls as well.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    KThread* poller = g_poller.load(std::memory_order_seq_cst);
    if (poller && timers_next() < g_poller_deadline.load(std::memory_order_seq_cst)) kick_poller(poller);
}

void call_for_a_look() {
    poller_check_timers();
    if (!idle_poller() && !sleeper_wake()) worker_rouse();
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

namespace {

// Sleeps until there may be work: in epoll if nobody else is there, on its own futex otherwise.
void idle_sleep(KThread* t, u64 next_timer) {
    KThread* nobody = nullptr;
    if (g_poller.compare_exchange_strong(nobody, t, std::memory_order_seq_cst)) {
        g_poller_deadline.store(next_timer, std::memory_order_seq_cst);
        // Armed before the others could see until when: they slept in the belief that this one knew.
        if (u64 sooner = timers_next(); sooner < next_timer) next_timer = sooner;
        // What was queued before the others could see the poller.
        bool work = t->run_count.load(std::memory_order_seq_cst) || g_inject_count.load(std::memory_order_seq_cst);
        u64 wait = kNever;
        if (next_timer != kNever) {
            u64 now = now_or_earlier_ns();
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
            call_for_a_look();  // it may have been the poller until now, and what it parked may wait for news
            spare_park();
            continue;
        }
        g_searching.fetch_add(1, std::memory_order_seq_cst);
        Coroutine* c = nullptr;
        u64 next = kNever;
        for (int i = 0; i < kSpins && !c; i++) {
            if (i == 0 && !timers_empty()) next = timers_run(now_or_earlier_ns());
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
            // Nobody may take what is pending (KThread::storm_held): then others' timers do not wait for it for long.
            bool holds = t->storm_held;
            if (u64 until = holds ? now_ns() + kStormHeldNs : kNever; until < next) next = until;
            idle_sleep(t, next);
            if (holds) {
                t->storm_release.store(true, std::memory_order_relaxed);
                attend_now();
            }
            continue;
        }
        if (!c->affinity_set) affinity_relax();
        // Where one was there may be more: pass the search on.
        if (t->run_count.load(std::memory_order_relaxed)) call_for_help();
        if (registry().size() > 1) tick_want(t->run_count.load(std::memory_order_relaxed) != 0);
        __atomic_store_n(&t->slot->state, OC_WORKER_RUNNING, __ATOMIC_SEQ_CST);
        monitor_wake();
        warm_next(t);
        switch_to(nullptr, After::parked, c);
    }
}

namespace {

void idle_main(transfer_t from) {
    finish(from);
    idle_loop();
}

}  // namespace

void prepare_idle(KThread* t) { t->idle_fiber = make_fcontext(kthread_stack_top(t), kIdleStackBytes, idle_main); }

void idle_after_fork() {
    g_searching.store(0, std::memory_order_relaxed);
    g_poller.store(nullptr, std::memory_order_relaxed);
    g_poller_deadline.store(0, std::memory_order_relaxed);
}

}  // namespace ocrun
