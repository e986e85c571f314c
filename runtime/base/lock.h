// lock.h - the runtime's only lock: a short spin, then the CPU is given away
//
// No waiters are counted, so that unlocking is a plain store: a switch takes and leaves several.
//
// Held for a few dozen instructions at most. Never parked with, never held across a guest copy that may fault for long,
// never taken in a host signal handler (handlers only latch, signal/host_signals.h). A fork takes none of them: what a
// helper thread may have held is reset in the child (after_fork in process/clone.cc).
//
// Order, outermost first:
//   signals (g_signal_lock)
//   one of: futex buckets (a pair by address, sync/futex.cc) | a descriptor's state, then the opening of the epoll
//           instance (io/readiness.cc) | timers | offload, then ring
//   registry (g_registry_lock)
//   run queues (a worker's run_lock, the inject queue), which a wake takes under any of them
// Thread ids, slot pool, the arena, descriptor leaves, waiting calls and named comm files are leaves: no lock is taken inside.
#pragma once
#include <atomic>

#include "runtime/base/syscall.h"

namespace ocrun {

class Lock {
public:
    void lock() {
        for (u32 i = 0;; i++) {
            if (!word_.load(std::memory_order_relaxed) && !word_.exchange(1, std::memory_order_acquire)) return;
            if (i < kSpins)
                __builtin_ia32_pause();
            else
                wait_a_little(i - kSpins);
        }
    }
    bool try_lock() { return !word_.load(std::memory_order_relaxed) && !word_.exchange(1, std::memory_order_acquire); }
    void unlock() { word_.store(0, std::memory_order_release); }
    // Somebody has it now, or did a moment ago.
    bool is_held() const { return word_.load(std::memory_order_acquire) != 0; }
    // For the child of a fork, whose other threads are gone.
    void reset() { word_.store(0, std::memory_order_relaxed); }

private:
    // The holder was descheduled by the kernel: give it the CPU; should it have a lower priority, sleep.
    static void wait_a_little(u32 round) {
        constexpr u32 kYields = 50;
        struct {
            long seconds, nanoseconds;
        } nap{0, 50000};
        if (round < kYields)
            sys(__NR_sched_yield);
        else
            sys(__NR_nanosleep, &nap, nullptr);
    }

    static constexpr u32 kSpins = 100;
    std::atomic<u32> word_{0};
};

class Locked {
public:
    explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
    ~Locked() { lock_.unlock(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

private:
    Lock& lock_;
};

}  // namespace ocrun
