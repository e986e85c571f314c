// trims.cc - see trims.h
#include "runtime/memory/trims.h"

#include <sys/mman.h>

#include "runtime/base/lock.h"
#include "runtime/base/memory.h"
#include "runtime/sched/scheduler.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

constexpr u32 kMostTrims = 16;
constexpr u64 kDelayNs = 1000000000;
// What a new thread on the same stack may have above where the last one began (other thread-local storage).
constexpr u64 kAbove = 256 * 1024;
// A caller nearer to its stack's end than this is trimming the stack it runs on.
constexpr u64 kNear = 1024 * 1024;

struct Trim {
    u64 from, to;
    u64 top;  // where the thread that is gone began
    u64 since_ns;  // 0: not seen by a tick yet (asking the clock at each exit would cost more than all else)
};

Lock g_lock;
Trim g_trims[kMostTrims];  // oldest first
std::atomic<u32> g_count{0};

void give(const Trim& t) { sys(__NR_madvise, t.from, t.to - t.from, MADV_DONTNEED); }

void remove(u32 i) {
    u32 n = g_count.load(std::memory_order_relaxed) - 1;
    for (; i < n; i++) g_trims[i] = g_trims[i + 1];
    g_count.store(n, std::memory_order_relaxed);
}

}  // namespace

bool stack_trim_defer(Coroutine* c, u64 from, u64 bytes) {
    u64 to = from + bytes, sp = c->regs.rsp;
    if (!g_multi || c->direct || ((from | bytes) & (kPageBytes - 1)) || to <= from) return false;
    if (!arena_holds(from) || sp < to || sp - to > kNear || c->stack_top < sp || c->stack_top - sp > kNear) return false;
    c->trim_from = from;
    c->trim_to = to;
    return true;
}

void stack_trim_now(Coroutine* c) {
    u64 sp = c->regs.rsp;
    // In a signal handler deeper in the stack, or on another stack: the range may be in use by now.
    if (sp >= c->trim_to && sp <= c->stack_top) give({c->trim_from, c->trim_to, 0, 0});
    c->trim_to = 0;
}

void stack_trim_at_exit(Coroutine* c) {
    Trim fresh{c->trim_from, c->trim_to, c->stack_top, 0};
    c->trim_to = 0;
    Locked held(g_lock);
    if (g_count.load(std::memory_order_relaxed) == kMostTrims) {
        give(g_trims[0]);
        remove(0);
    }
    u32 n = g_count.load(std::memory_order_relaxed);
    g_trims[n] = fresh;
    g_count.store(n + 1, std::memory_order_relaxed);
}

void stack_trim_cancel(u64 stack) {
    if (!g_count.load(std::memory_order_relaxed)) return;
    Locked held(g_lock);
    for (u32 i = g_count.load(std::memory_order_relaxed); i-- > 0;)
        if (stack > g_trims[i].from && stack <= g_trims[i].top + kAbove) remove(i);
}

void stack_trims_settle(u64 from, u64 to, bool unmap) {
    if (!g_count.load(std::memory_order_relaxed)) return;
    Locked held(g_lock);
    for (u32 i = g_count.load(std::memory_order_relaxed); i-- > 0;) {
        const Trim& t = g_trims[i];
        if (t.from >= to || t.to <= from) continue;
        if (!unmap || t.from < from || t.to > to) give(t);
        remove(i);
    }
}

void stack_trims_run(bool all) {
    if (!g_count.load(std::memory_order_relaxed)) return;
    u64 now = now_ns();
    Locked held(g_lock);
    for (u32 i = g_count.load(std::memory_order_relaxed); i-- > 0;) {
        Trim& t = g_trims[i];
        if (!t.since_ns) t.since_ns = now;
        if (!all && now - t.since_ns < kDelayNs) continue;
        give(t);
        remove(i);
    }
}

void stack_trims_after_fork() {
    g_lock.reset();
    g_count.store(0, std::memory_order_relaxed);
}

}  // namespace ocrun
