// pool.cc - see pool.h
#include "runtime/api/pool_internal.h"

#include <errno.h>
#include <pthread.h>

#include <new>

#include "runtime/api/cancel.h"
#include "runtime/api/fork.h"
#include "runtime/api/listen.h"

namespace oc {

namespace {

alignas(Pool) char g_storage[sizeof(Pool)];
std::atomic<bool> g_made;

void push(Pool& p, Task* t) {
    if (!t->priority)
        p.ordinary.push(t);
    else
        p.others[t->priority].push(t);
    p.queued++;
}

// Smaller priorities first; but every kFairTurn-th time, while there are several, the next priority gets its turn in a circle.
constexpr u32 kFairTurn = 1024;

Task* pop_ranked(Pool& p) {
    auto chosen = p.others.begin();
    bool ordinary = chosen->first > 0 && p.ordinary.head;
    if (++p.turns % kFairTurn == 0) {
        chosen = p.others.upper_bound(p.fair_after);
        ordinary = p.ordinary.head && (p.fair_after < 0 ? chosen == p.others.end() || chosen->first > 0 : chosen == p.others.end() && p.others.begin()->first > 0);
        if (!ordinary && chosen == p.others.end()) chosen = p.others.begin();
        p.fair_after = ordinary ? 0 : chosen->first;
    }
    if (ordinary) return p.ordinary.pop();
    Task* t = chosen->second.pop();
    if (!chosen->second.head) p.others.erase(chosen);
    return t;
}

Task* pop(Pool& p) {
    if (!p.queued) return nullptr;
    p.queued--;
    return __builtin_expect(p.others.empty(), 1) ? p.ordinary.pop() : pop_ranked(p);
}

// Lock held. The carrier's last task is over; to be released without the lock.
Task* settle(Thread& me, Pool& p, Carrier* c) {
    Task* t = c->task;
    if (!t) return nullptr;
    c->task = nullptr;
    if (c->released) {  // by its end: somebody else's by now
        c->released = false;
        t = nullptr;
    }
    if (--p.under_way == 0 && p.stopper) unpark(me, *p.stopper);
    return t;
}

void let_submit(Thread& me, Pool& p) {
    if (!p.no_space || p.queued >= p.queue_max) return;
    WaitNode* n = p.no_space;
    while (n->next) n = n->next;
    *n->link.load() = nullptr;
    n->link = nullptr;
    unpark(me, *n->thread);
}

// The child of a fork has none of the pool's threads: as before oc_init. What tasks were there is lost with them.
void after_fork() {
    if (!g_made) return;
    t_thread.self = nullptr;
    substrate_find();
    new (g_storage) Pool;
}

void make() {
    if (g_made) return;
    new (g_storage) Pool;
    reset_in_child(after_fork);
    g_made = true;
}

}  // namespace

Pool& pool() { return *reinterpret_cast<Pool*>(g_storage); }

[[gnu::noinline]] void make_carrier(Thread& me, Pool& p) {
    Carrier* c = new (std::nothrow) Carrier;
    int r = -ENOMEM;
    if (c) {
        c->searcher = true;
        r = carrier_start(me, c);
        if (r) carrier_free(c);
    }
    Locked held(p.lock);
    if (r) {
        p.carriers--;
        p.searching = false;
        p.short_of_threads = true;
        kick_janitor(me, p);
        return;
    }
    if (p.carriers > p.most) p.most = p.carriers;
    if (p.carriers > p.least && p.trim_at == kForever) {
        p.trim_at = p.keep_alive_ns >= kForever / 2 ? kForever : now_ns() + p.keep_alive_ns;
        p.least_idle = p.idle_count;
        kick_janitor(me, p);
    }
}

bool pool_is_on() { return g_made && pool().phase != Phase::off; }

int pool_start(Thread& me, const oc_config& config) {
    make();
    Pool& p = pool();
    {
        Locked held(p.lock);
        if (p.phase != Phase::off) return -EALREADY;
        p.queue_max = config.queue_max;
        p.least = config.tasks_min;
        p.limit = config.tasks_max;
        p.keep_alive_ns = config.keep_alive_ns;
        p.created = p.most = 0;
        p.janitor_leaves = p.short_of_threads = p.searching = false;
        p.trim_at = kForever;
    }
    carriers_init(config.stack_bytes);
    if (int r = cancel_install(config.cancel_signal)) return r;
    if (int r = janitor_start(p)) return r;
    {
        Locked held(p.lock);
        p.phase = Phase::on;
    }
    for (u32 i = 0; i < config.tasks_min; i++) {
        Successor s;
        s.make = true;
        {
            Locked held(p.lock);
            if (p.carriers >= p.least) break;
            p.carriers++;
        }
        summon(me, p, s);
    }
    return 0;
}

int pool_submit(Thread& me, Task* t) {
    if (__builtin_expect(!g_made, 0)) return -ENODEV;
    Pool& p = pool();
    Successor s;
    {
        Locked held(p.lock);
        for (;;) {
            if (p.phase != Phase::on) return p.phase == Phase::off ? -ENODEV : -ESHUTDOWN;
            if (p.queued < p.queue_max || me.task) break;
            WaitNode n{p.no_space, &p.no_space, &me};
            if (n.next) n.next->link = &n.next;
            p.no_space = &n;
            while (n.link) {
                p.lock.unlock();
                park(me, kForever, OC_PARK_LOCK);
                p.lock.lock();
            }
        }
        push(p, t);
        p.created++;
        p.under_way++;
        s = name_successor(me, p);
    }
    summon(me, p, s);
    return 0;
}

void pool_work(Thread& me, Carrier* c) {
    Pool& p = pool();
    for (;;) {
        Successor s;
        Task *t, *over;
        bool leave = false, begun = false;
        {
            Locked held(p.lock);
            over = settle(me, p, c);
            if (c->searcher) c->searcher = p.searching = false;
            t = pop(p);
            if (t) {
                c->task = t;
                c->watched.store(false, std::memory_order_relaxed);
                // Under this lock: a cancellation either comes before or finds the carrier.
                begun = t->state.load(std::memory_order_relaxed) == OC_READY;
                if (begun) {
                    t->carrier = c;
                    t->state.store(OC_RUNNING, std::memory_order_release);
                }
                let_submit(me, p);
                s = name_successor(me, p);
            } else if (c->leave || p.phase == Phase::ending || p.phase == Phase::off) {
                leave = true;
            } else {
                c->next = p.idle;
                p.idle = c;
                p.idle_count++;
                c->idle.store(true, std::memory_order_relaxed);
            }
        }
        if (over) task_release(over);
        if (t || leave) {
            if (oc_self later = me.wake_later) {
                me.wake_later = nullptr;
                g_table->unpark(me.self, later);
            }
            if (leave) return;
            summon(me, p, s);
            if (begun) carrier_run(me, t);
            continue;
        }
        if (oc_self later = me.wake_later) {
            me.wake_later = nullptr;
            g_table->hand_over(me.self, later, OC_PARK_IDLE);
        }
        while (c->idle.load(std::memory_order_acquire)) park(me, kForever, OC_PARK_IDLE);
    }
}

void pool_carrier_begins(Carrier* c) {
    Pool& p = pool();
    Locked held(p.lock);
    c->next_of_all = p.all;
    if (p.all) p.all->link_of_all = &c->next_of_all;
    c->link_of_all = &p.all;
    p.all = c;
}

void pool_watch() {
    if (!pool_is_on()) return;
    Pool& p = pool();
    Locked held(p.lock);
    kick_janitor(self(), p);
}

void pool_carrier_ends(Thread& me, Carrier* c) {
    Pool& p = pool();
    Successor s;
    Task* over;
    {
        Locked held(p.lock);
        over = settle(me, p, c);
        *c->link_of_all = c->next_of_all;
        if (c->next_of_all) c->next_of_all->link_of_all = c->link_of_all;
        if (c->searcher) c->searcher = p.searching = false;
        p.carriers--;
        if (c->leave) p.leaving--;
        s = name_successor(me, p);
        if (p.carriers == 0 && p.stopper) unpark(me, *p.stopper);
    }
    if (over) task_release(over);
    if (oc_self later = me.wake_later) {
        me.wake_later = nullptr;
        g_table->unpark(me.self, later);
    }
    summon(me, p, s);
    // Last: the janitor frees the carrier once the thread is gone.
    Locked held(p.lock);
    c->next = p.dead;
    p.dead = c;
    kick_janitor(me, p);
}

bool pool_cancel_ready(Thread& me, Task* t) {
    Pool& p = pool();
    Locked queue(p.lock);
    Locked held(t->lock);
    if (t->state.load(std::memory_order_relaxed) != OC_READY) return false;
    task_end_locked(me, t, OC_CANCELLED, -ECANCELED, nullptr);
    return true;
}

void pool_cancel_pending(Task* t) {
    Pool& p = pool();
    {
        Locked held(t->lock);
        if (t->cancel_listed || has_ended(t)) return;
        t->cancel_listed = true;
        t->references.fetch_add(1, std::memory_order_relaxed);
    }
    Locked held(p.lock);
    t->next_cancel = p.cancels;
    p.cancels = t;
    kick_janitor(self(), p);
}

}  // namespace oc

using namespace oc;

extern "C" {

int oc_stop(uint64_t timeout_ns) {
    Thread& me = self();
    if (me.task) return -EDEADLK;
    if (!g_made) return -EINVAL;
    Inside inside(me);
    Pool& p = pool();
    u64 deadline = deadline_of(timeout_ns);
    {
        Locked held(p.lock);
        if (p.phase == Phase::off) return -EINVAL;
        if (p.stopper) return -EALREADY;
        if (p.phase == Phase::on) p.phase = Phase::stopping;
        // Who waits for space learns it.
        while (WaitNode* n = p.no_space) {
            p.no_space = n->next;
            n->link = nullptr;
            unpark(me, *n->thread);
        }
        p.stopper = &me;
        bool late = false;
        while (p.under_way && !late) {
            p.lock.unlock();
            late = park(me, deadline, OC_PARK_JOIN) == -ETIMEDOUT;
            p.lock.lock();
        }
        if (p.under_way) {
            p.stopper = nullptr;
            return -ETIMEDOUT;
        }
        p.phase = Phase::ending;
        while (Carrier* c = p.idle) {
            p.idle = c->next;
            p.idle_count--;
            c->idle.store(false, std::memory_order_release);
            unpark(me, *c->thread);
        }
        while (p.carriers) {
            p.lock.unlock();
            park(me, kForever, OC_PARK_JOIN);
            p.lock.lock();
        }
        p.stopper = nullptr;
        p.janitor_leaves = true;
        kick_janitor(me, p);
    }
    pthread_join(p.janitor, nullptr);
    Locked held(p.lock);
    p.phase = Phase::off;
    return 0;
}

int oc_get_stats(oc_stats* stats) {
    if (!pool_is_on() || !stats->size) return -EINVAL;
    Thread& me = self();
    Inside inside(me);
    Pool& p = pool();
    oc_stats s{};
    s.size = stats->size < sizeof s ? stats->size : u32(sizeof s);
    s.under_ocrun = g_table != nullptr;
    oc_runtime_info info{1, 1};
    if (g_table) g_table->info(me.self, &info, sizeof info);
    s.workers = info.worker_max;
    {
        Locked held(p.lock);
        s.pooled = p.carriers;
        s.idle = p.idle_count;
        s.most_pooled = p.most;
        s.queued = p.queued;
        s.under_way = p.under_way;
        s.created = p.created;
    }
    __builtin_memcpy(stats, &s, s.size);
    return 0;
}

}  // extern "C"
