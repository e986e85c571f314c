// pool_internal.h - the pool's state, between pool.cc (tasks and carriers) and janitor.cc
#pragma once
#include <pthread.h>

#include <map>

#include "runtime/api/pool.h"

namespace oc {

struct Fifo {
    Task* head = nullptr;
    Task* tail = nullptr;
    void push(Task* t) {
        t->next = nullptr;
        (tail ? tail->next : head) = t;
        tail = t;
    }
    Task* pop() {
        Task* t = head;
        if (t && !(head = t->next)) tail = nullptr;
        return t;
    }
};

enum class Phase { off, on, stopping, ending };

struct Pool {
    Lock lock;
    Phase phase = Phase::off;
    // Queue. Priority 0 has a list of its own; the map's lists are never empty.
    Fifo ordinary;
    std::map<long, Fifo> others;
    u32 turns = 0;
    long fair_after = 0;  // the priority that had its turn last
    u64 queued = 0, under_way = 0, created = 0;
    u32 queue_max = 0;
    WaitNode* no_space = nullptr;  // threads that wait to submit, oldest last
    // Carriers.
    Carrier* idle = nullptr;
    Carrier* dead = nullptr;
    Carrier* all = nullptr;
    u32 carriers = 0, leaving = 0;  // leaving: told to end, counted as carriers until they have
    u32 idle_count = 0, least_idle = 0, most = 0, least = 0, limit = 0;
    bool searching = false;
    bool short_of_threads = false;
    u64 keep_alive_ns = 0, trim_at = kForever;
    // Janitor and oc_stop.
    pthread_t janitor{};
    Thread* janitor_thread = nullptr;
    bool janitor_leaves = false;
    Task* cancels = nullptr;
    Thread* stopper = nullptr;
};

Pool& pool();

struct Successor {
    oc_self self = nullptr;
    bool make = false;
};

// Lock held. Who looks at the queue next, if somebody must.
inline Successor name_successor(Thread& me, Pool& p) {
    Successor s;
    if (!p.queued || p.searching) return s;
    if (Carrier* c = p.idle) {
        p.idle = c->next;
        p.idle_count--;
        if (p.idle_count < p.least_idle) p.least_idle = p.idle_count;
        p.searching = c->searcher = true;
        s.self = c->thread->self;
        c->idle.store(false, std::memory_order_release);
        if (!s.self) unpark(me, *c->thread);  // under the lock: a plain thread's memory goes with it
    } else if (p.carriers < p.limit && p.phase != Phase::ending) {
        p.carriers++;
        p.searching = true;
        s.make = true;
    }
    return s;
}

inline void kick_janitor(Thread& me, Pool& p) {
    if (p.janitor_thread) unpark(me, *p.janitor_thread);
}

// A carrier more, counted already; on failure the janitor tries again.
void make_carrier(Thread& me, Pool& p);

inline void summon(Thread& me, Pool& p, const Successor& s) {
    if (s.self) unpark_later(me, s.self);
    if (__builtin_expect(s.make, 0)) make_carrier(me, p);
}

// The thread that ends idle carriers, joins dead ones and repeats cancel signals. 0 or -errno.
int janitor_start(Pool& p);

}  // namespace oc
