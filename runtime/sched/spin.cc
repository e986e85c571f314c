// spin.cc - see spin.h
#include "runtime/sched/spin.h"

#include "runtime/sched/worker.h"

namespace ocrun {

namespace {

constexpr u64 kLoopBytes = 128;
// A register that moved less than this does not lead anywhere: tens of thousands of turns lie between two looks.
constexpr u64 kSmallMove = 4096;
// Time on the CPU between two looks, some 10 us. When the kernel kept the worker waiting, they say nothing.
constexpr u64 kApartTicks = 20000;

constexpr u32 kGeneralRegs = 16;
static_assert(offsetof(GuestRegs, rip) == kGeneralRegs * sizeof(u64));

// Loops that looked like waits, and how often more than not. Workers write at will: a lost count does no harm.
struct Loop {
    std::atomic<u64> rip;
    std::atomic<u32> found;
};
constexpr u32 kLoops = 8, kSure = 2, kMostFound = 16;
Loop g_loops[kLoops];

bool near(u64 a, u64 b) { return a - b + kLoopBytes <= 2 * kLoopBytes; }

Loop* loop_at(u64 rip) {
    for (Loop& l : g_loops)
        if (l.found.load(std::memory_order_relaxed) && near(rip, l.rip.load(std::memory_order_relaxed))) return &l;
    return nullptr;
}

void count(u64 rip, bool waits) {
    Loop* l = loop_at(rip);
    if (!l) {
        if (!waits) return;
        // The least sure one makes room.
        l = &g_loops[0];
        for (Loop& other : g_loops)
            if (other.found.load(std::memory_order_relaxed) < l->found.load(std::memory_order_relaxed)) l = &other;
        l->rip.store(rip, std::memory_order_relaxed);
        l->found.store(1, std::memory_order_relaxed);
        return;
    }
    u32 found = l->found.load(std::memory_order_relaxed);
    if (waits ? found < kMostFound : found > 0) l->found.store(waits ? found + 1 : found - 1, std::memory_order_relaxed);
}

bool stands_still(const u64* before, const u64* now) {
    bool counter = false;
    for (u32 i = 0; i < kGeneralRegs; i++) {
        if (now[i] - before[i] + kSmallMove <= 2 * kSmallMove) continue;
        // A counter is no pointer: a loop that walks through memory does something.
        if (counter || before[i] >> 32 || now[i] >> 32) return false;
        counter = true;
    }
    return true;
}

}  // namespace

Spin spin_look(Coroutine* c) {
    u64 rip = c->regs.rip, cpu = c->cpu_tsc + (__builtin_ia32_rdtsc() - this_thread()->switched_in_tsc);
    // At the end of a system call, or in one that is made again.
    if (c->regs.rcx == rip || c->regs.rcx == rip + 2) return Spin::no;
    SpinLook& s = c->spin;
    bool same_call = s.calls == c->calls;
    if (!same_call || cpu - s.cpu_tsc > kApartTicks) {
        if (same_call && near(rip, s.regs[kGeneralRegs])) count(rip, stands_still(s.regs, &c->regs.r8));
        __builtin_memcpy(s.regs, &c->regs.r8, sizeof s.regs);
        s.cpu_tsc = cpu;
        s.calls = c->calls;
    }
    Loop* l = loop_at(rip);
    if (!l || l->found.load(std::memory_order_relaxed) < kSure) return Spin::no;
    return same_call ? Spin::waits_idly : Spin::waits;
}

}  // namespace ocrun
