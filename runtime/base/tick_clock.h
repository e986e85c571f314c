// tick_clock.h - a clock read by the time-stamp counter between its readings by system call
//
// A reading costs a system call, the counter some ten nanoseconds. Between bounds the value is known for a short while after a
// reading: the length of a tick is measured over at least ten milliseconds, and 1/1024 of what passed is more than it errs by
// (measuring: 200 ppm; the kernel slews a clock by 500 ppm at most, adjtimex(2)).
//
// Not thread-safe: each kernel thread has its own. Only for counters that tick evenly and alike on all CPUs (kernel_trusts_ticks).
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

// The kernel's own clock is the counter: it has found it even, and alike on all CPUs.
bool kernel_trusts_ticks();

class TickClock {
public:
    // The clock said `ns` between two readings of the counter.
    void note(u64 before, u64 ns, u64 after) {
        before_ = before;
        after_ = after;
        ns_ = ns;
        if (after - before > kQuickTicks) return;  // interrupted in between: says too little of a tick's length
        u64 ticks = after - base_;
        if (!base_) {
            base_ = after;
            base_ns_ = ns;
        } else if (ticks >= kMeasuredTicks && ticks / 2 >= measured_ && ns > base_ns_) {
            measured_ = ticks;
            ns_a_tick_ = u64(((unsigned __int128)(ns - base_ns_) << 32) / ticks);
        }
    }

    // Where the clock is when the counter is `tsc`. False: too long ago, or the length of a tick is not known.
    bool guess(u64 tsc, u64* least, u64* most) const {
        u64 longest = tsc - before_, shortest = tsc - after_;
        if (!ns_a_tick_ || longest > kTrustTicks || shortest > kTrustTicks) return false;
        *least = ns_ + span(shortest, 1023);
        *most = ns_ + span(longest, 1025) + 1;
        return true;
    }

private:
    static constexpr u64 kQuickTicks = 8192, kMeasuredTicks = 1u << 25, kTrustTicks = 1u << 20;

    u64 span(u64 ticks, u64 parts) const { return (ticks * parts / 1024 * (ns_a_tick_ >> 8)) >> 24; }

    u64 before_ = 0, after_ = 0, ns_ = 0;
    u64 base_ = 0, base_ns_ = 0, measured_ = 0;
    u64 ns_a_tick_ = 0;  // 32 binary places
};

}  // namespace ocrun
