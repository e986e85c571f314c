// timers.cc - a balanced tree of deadlines (see timers.h)
#include "runtime/sched/timers.h"

#include <new>

#include "runtime/sched/scheduler.h"

namespace ocrun {

namespace {

struct Sooner {
    bool operator()(const Coroutine& a, const Coroutine& b) const { return a.timer_deadline_ns < b.timer_deadline_ns; }
};
using Timers = boost::intrusive::multiset<Coroutine, boost::intrusive::member_hook<Coroutine, SetHook, &Coroutine::timer_hook>,
                                          boost::intrusive::compare<Sooner>, boost::intrusive::constant_time_size<false>>;

Lock g_lock;
alignas(Timers) u8 g_storage[sizeof(Timers)];
std::atomic<u64> g_next{kNever};  // first deadline, readable without the lock

Timers& timers() { return *reinterpret_cast<Timers*>(g_storage); }

void refresh_next() {
    g_next.store(timers().empty() ? kNever : timers().begin()->timer_deadline_ns, std::memory_order_relaxed);
}

}  // namespace

void timers_init() { new (g_storage) Timers(); }

void timer_arm(Coroutine* c, u64 token, u64 deadline_ns) {
    Locked held(g_lock);
    c->timer_deadline_ns = deadline_ns;
    c->timer_token = token;
    c->timer_armed = true;
    timers().insert(*c);
    refresh_next();
}

void timer_disarm(Coroutine* c) {
    Locked held(g_lock);
    if (!c->timer_armed) return;
    c->timer_armed = false;
    timers().erase(Timers::s_iterator_to(*c));
    refresh_next();
}

u64 timers_run(u64 now) {
    if (g_next.load(std::memory_order_relaxed) > now) return g_next.load(std::memory_order_relaxed);
    Locked held(g_lock);
    while (!timers().empty() && timers().begin()->timer_deadline_ns <= now) {
        Coroutine& c = *timers().begin();
        timers().erase(timers().begin());
        // From then on it is off the list for its own coroutine, which asks without the lock (wait_ended).
        u64 token = c.timer_token;
        __atomic_store_n(&c.timer_armed, false, __ATOMIC_RELEASE);
        wake(&c, token, WakeReason::timeout);
    }
    refresh_next();
    return g_next.load(std::memory_order_relaxed);
}

u64 timers_next() { return g_next.load(std::memory_order_relaxed); }

bool timers_empty() { return g_next.load(std::memory_order_relaxed) == kNever; }

void timers_after_fork() {
    g_lock.reset();
    new (g_storage) Timers();
    g_next.store(kNever, std::memory_order_relaxed);
}

}  // namespace ocrun
