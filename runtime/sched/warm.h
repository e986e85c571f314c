// warm.h - the memory of a coroutine that was parked for long is fetched while others still run
//
// With very many coroutines each switch finds the next one's state in main memory: some 30 lines on three to five pages (registers,
// extended state, guest stack, thread control block, runtime stack if it has one), met one after the other at some 80 ns each. Asked for
// together at the wake they come in parallel, mostly before the switch.
#pragma once
#include "runtime/sched/worker.h"

namespace ocrun {

inline void prefetch(const void* start, size_t bytes) {
    constexpr size_t kLine = 64;
    for (const char* p = (const char*)start; p < (const char*)start + bytes; p += kLine) __builtin_prefetch(p, 1, 3);
}

// c is about to be made ready by the calling thread. What was parked within the last kWarmTicks is still in the caches.
inline void warm(Coroutine* c) {
    constexpr i64 kWarmTicks = 50000;  // some 20 us
    if (i64(this_thread()->switched_in_tsc - c->parked_since_tsc) < kWarmTicks) return;
    constexpr size_t kRuntimeFrames = 512, kGuestFrames = 320, kXstate = 576;
    if (c->fiber) prefetch(c->fiber, kRuntimeFrames);
    prefetch(static_cast<void*>(c), size_t((const char*)&c->timer_hook - (const char*)c));
    prefetch(c->xsave, kXstate);
    prefetch((void*)c->regs.rsp, kGuestFrames);
    prefetch((void*)(c->fs_base - 64), 192);
}

// The one after the next: what the switch to it touches first comes nearer meanwhile.
inline void warm_next(const Coroutine* c) {
    if (!c) return;
    if (c->fiber) prefetch(c->fiber, 128);
    prefetch(&c->regs, sizeof c->regs);
    prefetch(c->xsave + 128, 448);
}

}  // namespace ocrun
