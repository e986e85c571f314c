// tick.cc - see tick.h
#include "runtime/sched/tick.h"

#include <signal.h>
#include <time.h>

#include <algorithm>

namespace ocrun {

u64 g_tick_max_ns;

namespace {

u64 g_min_ns;
constexpr u64 kMostNs = 999999999;  // a period below a second fits tv_nsec

void set(KThread* t, u64 ns) {
    if (t->tick_ns.load(std::memory_order_relaxed) == ns) return;
    if (!t->tick_made) {
        // struct sigevent as the kernel lays it out; SIGEV_THREAD_ID names this worker.
        struct {
            u64 value;
            int signo, notify, tid, pad[11];
        } event{u64(kTickValue), kTickSignal, SIGEV_SIGNAL | 4, int(t->tid), {}};
        if (is_error(sys(__NR_timer_create, CLOCK_MONOTONIC, &event, &t->tick_timer))) return;
        t->tick_made = true;
    }
    t->tick_ns.store(ns, std::memory_order_relaxed);
    itimerspec spec{{0, long(ns)}, {0, long(ns)}};
    sys(__NR_timer_settime, t->tick_timer, 0, &spec, nullptr);
}

}  // namespace

void tick_init(bool preempt, u64 min_ns, u64 max_ns) {
    constexpr u64 kDefaultNs = 1000000;
    if (!preempt) return;
    g_tick_max_ns = max_ns ? max_ns : kDefaultNs;
    if (g_tick_max_ns > kMostNs) g_tick_max_ns = kMostNs;
    g_min_ns = min_ns && min_ns < g_tick_max_ns ? min_ns : g_tick_max_ns;
}

void tick_want(bool queued, bool nobody_new) {
    KThread* t = this_thread();
    u64 now = t->tick_ns.load(std::memory_order_relaxed);
    if (!g_tick_max_ns || (now && (nobody_new || now <= g_tick_max_ns))) return;
    set(t, queued ? g_min_ns : g_tick_max_ns);
}

void tick_adapt(bool queued, bool moves, bool looked_after, News news, u64 room_ns) {
    constexpr u64 kWithoutNews = 10, kRareNews = 4;
    KThread* t = this_thread();
    u64 now = t->tick_ns.load(std::memory_order_relaxed);
    if (!now) return;  // a last one, sent before it was stopped
    u64 times = news == News::none ? kWithoutNews : news == News::rare ? kRareNews : 1;
    u64 most = std::min({times * g_tick_max_ns, kMostNs, std::max(room_ns, g_min_ns)});
    if (queued && !moves)
        set(t, g_min_ns);
    else if (!queued && looked_after)
        set(t, room_ns == kNoTimer ? 0 : most);
    else
        set(t, std::min(now * 2, most));
}

void tick_stop() {
    KThread* t = this_thread();
    if (t->tick_made) set(t, 0);
}

}  // namespace ocrun
