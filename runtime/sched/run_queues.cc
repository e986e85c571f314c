// run_queues.cc - see run_queues.h
#include "runtime/sched/run_queues.h"

#include <linux/futex.h>

#include <new>

#include "runtime/sched/switch.h"

namespace ocrun {

std::atomic<u32> g_inject_count{0};
Coroutine* g_inject_urgent_head;

namespace {

// Ready coroutines that no worker made ready (offload threads do).
Lock g_inject_lock;
Coroutine* g_inject_head;
Coroutine* g_inject_tail;
Coroutine* g_inject_urgent_tail;

// One coroutine alone in the queue of a worker that switches is run there sooner than here, where nothing of it is in the caches;
// two that take turns would be carried to and fro. Only when that worker has not switched for this long is it worth the way.
constexpr u64 kStealOneAfterTicks = 50000;  // some 20 us, what waking a thread on another CPU costs

bool runs(KThread* t) { return __atomic_load_n(&t->slot->state, __ATOMIC_RELAXED) == OC_WORKER_RUNNING && !t->retaken.load(std::memory_order_relaxed); }

bool worth_stealing(KThread* victim) {
    u32 count = victim->run_count.load(std::memory_order_seq_cst);
    if (count != 1 || victim->retaken.load(std::memory_order_relaxed)) return count;
    u64 now = __builtin_ia32_rdtsc();
    if (runs(victim) && i64(now - __atomic_load_n(&victim->switched_in_tsc, __ATOMIC_RELAXED)) > i64(kStealOneAfterTicks)) return true;
    u32 schedules = __atomic_load_n(&victim->schedule_count, __ATOMIC_RELAXED);
    if (__atomic_load_n(&victim->thief_schedules, __ATOMIC_RELAXED) != schedules) {
        __atomic_store_n(&victim->thief_schedules, schedules, __ATOMIC_RELAXED);
        __atomic_store_n(&victim->thief_tsc, now, __ATOMIC_RELAXED);
        return false;
    }
    return i64(now - __atomic_load_n(&victim->thief_tsc, __ATOMIC_RELAXED)) > i64(kStealOneAfterTicks);
}

// For a thief: what its worker would run last.
Coroutine* pop_cold(KThread* t) {
    if (!t->ranked.empty()) return pop_ranked(t);
    if (Coroutine* c = pop(&t->run_head, &t->run_tail)) return c;
    Coroutine* first = t->run_first;
    t->run_first = nullptr;
    return first;
}

// Half of what waits there: the oldest is returned, the rest becomes t's.
Coroutine* steal_from(KThread* victim, KThread* t) {
    Coroutine *first = nullptr, *head = nullptr, *tail = nullptr;
    u32 taken = 0;
    {
        Locked held(victim->run_lock);
        u32 count = victim->run_count.load(std::memory_order_relaxed);
        // Who is stuck in the kernel loses all.
        bool stuck = victim->retaken.load(std::memory_order_relaxed);
        for (u32 want = stuck ? count : (count + 1) / 2; want; want--) {
            Coroutine* c = pop_cold(victim);
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
    return first;
}

// What `take` finds at another worker that runs whoever is ready, the first of them in its turn asked first.
template <class F>
Coroutine* of_others(u32 turn, F&& take) {
    KThread* t = this_thread();
    u32 n = workers_started();
    for (u32 i = 0; i < n && n > 1; i++) {
        KThread* other = worker_at((turn + i) % n);
        if (!other || other == t || other->owner.load(std::memory_order_relaxed) || other->ended) continue;
        if (Coroutine* c = take(other)) return c;
    }
    return nullptr;
}

}  // namespace

Coroutine* pop_ranked(KThread* t) {
    if (t->run_first) {
        push(&t->run_head, &t->run_tail, t->run_first);
        t->run_first = nullptr;
    }
    u32 turn = t->ranked.turn();
    if (turn % Ranked::kFairTurn == 0) {
        if (turn / Ranked::kFairTurn % 2 || !t->run_head) return t->ranked.pop_oldest();
        return pop(&t->run_head, &t->run_tail);
    }
    return t->ranked.first_priority() < 0 || !t->run_head ? t->ranked.pop_first() : pop(&t->run_head, &t->run_tail);
}
bool outranks(Coroutine* c, KThread* t) {
    if (__builtin_expect(!c->priority && t->ranked.empty(), 1)) return false;
    Locked held(t->run_lock);
    i64 best = t->ranked.empty() || ((t->run_head || t->run_first) && t->ranked.first_priority() > 0) ? 0 : t->ranked.first_priority();
    return c->priority < best && t->ranked.turn() % Ranked::kFairTurn != 0;
}

void enqueue_common(Coroutine* c) {
    {
        Locked held(g_inject_lock);
        if (c->priority < 0)
            push(&g_inject_urgent_head, &g_inject_urgent_tail, c);
        else
            push(&g_inject_head, &g_inject_tail, c);
        g_inject_count.fetch_add(1, std::memory_order_seq_cst);
    }
    // If all workers are idle one must get up; busy ones look at every switch and tick.
    if (KThread* poller = idle_poller(); poller && poller != this_thread())
        kick_poller(poller);
    else if (!sleeper_wake() && !worker_start_one())
        worker_rouse();
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

Coroutine* steal() {
    KThread* t = this_thread();
    return of_others(t->schedule_count++, [t](KThread* victim) { return worth_stealing(victim) ? steal_from(victim, t) : nullptr; });
}

namespace {

bool computes(KThread* t) { return runs(t) && t->computes.load(std::memory_order_relaxed); }
constexpr u32 kTooMany = 2;

}  // namespace

bool take_share() {
    KThread* t = this_thread();
    Coroutine* c = of_others(t->ticks, [t](KThread* victim) {
        return victim->run_count.load(std::memory_order_relaxed) >= kTooMany && computes(victim) ? steal_from(victim, t) : nullptr;
    });
    if (c) enqueue(c, ReadyWhy::requeued);
    return c;
}

void offer_share() {
    of_others(0, [](KThread* other) -> Coroutine* {
        if (!other->run_count.load(std::memory_order_relaxed) && computes(other) && !other->need_resched.exchange(true, std::memory_order_relaxed)) worker_kick(other);
        return nullptr;
    });
}

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

void run_queues_after_fork(KThread* t) {
    t->run_lock.reset();
    t->run_head = t->run_tail = t->run_first = nullptr;
    t->firsts = 0;
    new (&t->ranked) Ranked;
    t->run_count.store(0, std::memory_order_relaxed);
    g_inject_lock.reset();
    g_inject_head = g_inject_tail = g_inject_urgent_head = g_inject_urgent_tail = nullptr;
    g_inject_count.store(0, std::memory_order_relaxed);
}

}  // namespace ocrun
