// run_queues.h - who is ready, and where: each worker's queue, the common queue, stealing
//
// A worker's queue is a list, with a place before it and the ranked ones beside it (ranked.h). The place is for whom the running
// coroutine woke, if it is free: what the two share is still in the caches, and a waker that waits for an answer is answered
// soonest. Only kFirstInARow times in a row, then the oldest in the list has its turn, so that two who wake each other starve nobody.
#pragma once
#include "runtime/sched/monitor.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/workers.h"
#include "runtime/sched/workers_internal.h"

namespace ocrun {

// A busy queue must not starve timers and descriptors, nor a worker that keeps itself busy the common queue: look at them once in
// so many switches (a prime, as Go's global-queue check, so that it does not lock step with periodic loads).
inline constexpr u32 kHousekeepingSwitches = 61;
// Where switches are quick it need not be so often: it costs a system call or two.
inline constexpr u64 kHousekeepingTicks = 50000;  // some 20 us

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

inline void push(Coroutine** head, Coroutine** tail, Coroutine* c) {
    c->run_next = nullptr;
    if (*tail)
        (*tail)->run_next = c;
    else
        *head = c;
    *tail = c;
}

inline Coroutine* pop(Coroutine** head, Coroutine** tail) {
    Coroutine* c = *head;
    if (!c) return nullptr;
    *head = c->run_next;
    __builtin_prefetch(&c->run_next->run_next);  // a line on which the next switch would wait; nullptr does no harm
    if (!*head) *tail = nullptr;
    return c;
}

// A worker's queue, its run_lock held; who calls keeps run_count.
inline void push_ready(KThread* t, Coroutine* c) {
    if (__builtin_expect(c->priority != 0, 0))
        t->ranked.push(c);
    else
        push(&t->run_head, &t->run_tail, c);
}
// By the coroutine that runs.
inline void push_woken(KThread* t, Coroutine* c) {
    constexpr u32 kFirstInARow = 3;
    if (t->run_first || t->firsts >= kFirstInARow || c->priority) return push_ready(t, c);
    t->run_first = c;
}
Coroutine* pop_ranked(KThread* t);
inline Coroutine* pop_ready(KThread* t) {
    if (__builtin_expect(!t->ranked.empty(), 0)) return pop_ranked(t);
    if (Coroutine* first = t->run_first) {
        t->run_first = nullptr;
        t->firsts++;
        return first;
    }
    t->firsts = 0;
    return pop(&t->run_head, &t->run_tail);
}

enum class ReadyWhy : u8 { other, woken, requeued };  // woken: by the coroutine that runs; requeued: it ran until now
void enqueue_home(Coroutine* c);
// Into the common queue; somebody idle is made to look.
void enqueue_common(Coroutine* c);
// Into the calling worker's queue, or where it belongs.
inline void enqueue(Coroutine* c, ReadyWhy why = ReadyWhy::other) {
    if (__builtin_expect(c->pinned, 0)) return enqueue_home(c);
    KThread* t = this_thread();
    if (t->kind == ThreadKind::worker && !t->owner.load(std::memory_order_relaxed) && !t->retaken.load(std::memory_order_relaxed)) {
        u32 waiting;
        {
            LockedQueue held(t);
            if (why == ReadyWhy::woken && t->current)
                push_woken(t, c);
            else
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
        if (t->current) tick_want(true, why == ReadyWhy::requeued);
        return;
    }
    enqueue_common(c);
}

extern std::atomic<u32> g_inject_count;
extern Coroutine* g_inject_urgent_head;  // those with a priority below 0
Coroutine* take_injected();

// The calling worker's next, without looking at other workers.
inline Coroutine* next_ready() {
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

// From another worker: the oldest of half of its queue is returned, the rest becomes the caller's.
Coroutine* steal();
// For a worker that computes and has nobody waiting: half of what waits behind one that computes as well joins its queue, so that all who
// compute get about the same. False: nobody who computes has two or more waiting.
bool take_share();
// For a worker that computes, with two or more waiting: who computes with nobody waiting is told to take its share.
void offer_share();
// Does whoever waits in t's queue have to wait on, because c, which runs, comes before? Now and then nobody has.
bool outranks(Coroutine* c, KThread* t);
// What a worker without a place has in its queue is everybody's.
void give_queue_away(KThread* t);
void run_queues_after_fork(KThread* t);

}  // namespace ocrun
