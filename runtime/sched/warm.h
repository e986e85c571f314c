// warm.h - the memory of a coroutine that was parked for long is fetched while others still run
//
// With very many coroutines each switch finds the next one's state in main memory: some 30 lines on three to five pages (registers,
// extended state, guest stack, thread control block, runtime stack if it has one), met one after the other at some 80 ns each. Asked for
// together, while the one before still runs, they come in parallel. Not sooner: of a hundred that are made ready at once the caches hold
// the first few by the time of their turns, all the less as stacks lie at the same places of their pages and pages at regular distances.
#pragma once
#include <stddef.h>

#include "runtime/sched/worker.h"

namespace ocrun {

inline void prefetch(const void* start, size_t bytes) {
    constexpr size_t kLine = 64;
    for (const char* p = (const char*)start; p < (const char*)start + bytes; p += kLine) __builtin_prefetch(p, 1, 3);
}

// What says where the rest lies, and who comes next.
inline void warm_outset(const Coroutine* c) {
    __builtin_prefetch(&c->regs.rsp, 1, 3);
    __builtin_prefetch(&c->xsave, 1, 3);
    __builtin_prefetch(&c->fiber, 1, 3);
    __builtin_prefetch(&c->waits_for, 1, 3);
    __builtin_prefetch(&c->descriptor, 1, 3);
}

// Another worker may be taking c away: of its own memory, which stays a coroutine's, alone anything is read.
[[gnu::noinline]] inline void warm_cold(const Coroutine* c) {
    asm volatile("");  // a function that only prefetches would be left out
    constexpr size_t kRuntimeFrames = 512, kGuestFrames = 320, kXstate = 576;
    // Of glibc's thread control block the word that calls which wait write to, around them (struct pthread, cancelhandling).
    constexpr size_t kCancelWord = 0x308;
    if (c->fiber) prefetch(c->fiber, kRuntimeFrames);
    prefetch(static_cast<const void*>(c), size_t((const char*)&c->timer_hook - (const char*)c));
    prefetch(c->xsave, kXstate);
    prefetch((void*)c->regs.rsp, kGuestFrames);
    prefetch((void*)(c->fs_base - 64), 192);
    prefetch((void*)(c->fs_base + kCancelWord), 1);
    if (c->waits_for != kWaitsForDescriptor || c->fiber) return;
    // A read or a receive: the descriptor's state, where the data goes, and the end of the buffer (reaches_end in syscalls/io_wait.h).
    prefetch(c->descriptor.waiter.state, 1);
    prefetch((void*)c->regs.rsi, 1);
    prefetch((void*)(c->regs.rsi + c->regs.rdx - 1), 1);
}

// c is about to run on the calling worker. What was switched out within the last kWarmTicks is still in the caches.
inline void warm(const Coroutine* c) {
    constexpr i64 kWarmTicks = 50000;  // some 20 us
    if (i64(this_thread()->switched_in_tsc - c->parked_since_tsc) >= kWarmTicks) warm_cold(c);
}

// Does whoever is made ready now run next, so that nobody's turn before its own is the time to warm it?
inline bool next_is_free() {
    KThread* t = this_thread();
    return !t->run_count.load(std::memory_order_relaxed) || (t->current && !t->run_first);
}

// Somebody is about to run: the one behind comes nearer meanwhile, and of the one behind that what this needs then.
inline void warm_next(KThread* t) {
    const Coroutine* c = __atomic_load_n(&t->run_head, __ATOMIC_RELAXED);
    if (!c) return;
    warm(c);
    if (const Coroutine* next = __atomic_load_n(&c->run_next, __ATOMIC_RELAXED)) warm_outset(next);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
// A place among those who wait for a descriptor is about to be looked at: it, and what a wake touches of its coroutine if it lies there.
inline void warm_waiter(const FdWaiter* w) {
    if (!w) return;
    const char* c = (const char*)w - offsetof(Coroutine, descriptor);
    __builtin_prefetch(w, 1, 3);
    __builtin_prefetch(c + offsetof(Coroutine, sched_state), 1, 3);
    __builtin_prefetch(c + offsetof(Coroutine, wait_word), 1, 3);
}
#pragma GCC diagnostic pop

}  // namespace ocrun
