// lock.h - the runtime's only lock: a short spin, then the kernel's futex
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

#include <linux/futex.h>

#include "runtime/base/syscall.h"

namespace ocrun {

class Lock {
public:
    void lock() {
        for (int i = 0; i < kSpins; i++) {
            u32 free = 0;
            if (word_.compare_exchange_weak(free, 1, std::memory_order_acquire)) return;
            __builtin_ia32_pause();
        }
        while (word_.exchange(2, std::memory_order_acquire) != 0)
            sys(__NR_futex, &word_, FUTEX_WAIT_PRIVATE, 2, nullptr);
    }
    bool try_lock() {
        u32 free = 0;
        return word_.compare_exchange_strong(free, 1, std::memory_order_acquire);
    }
    void unlock() {
        if (word_.exchange(0, std::memory_order_release) == 2) sys(__NR_futex, &word_, FUTEX_WAKE_PRIVATE, 1);
    }
    // For the child of a fork, whose other threads are gone.
    void reset() { word_.store(0, std::memory_order_relaxed); }

private:
    static constexpr int kSpins = 100;
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
