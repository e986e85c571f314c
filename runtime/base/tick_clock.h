// tick_clock.h - a clock read by the time-stamp counter between its readings by system call
//
// A reading costs a system call, the counter some ten nanoseconds. Between bounds the value is known for a short while after a
// reading: the length of a tick is measured over at least ten milliseconds, twice with the same result, and 1/1024 of what passed is more
// than it errs by (measuring: 200 ppm; the kernel slews a clock by 500 ppm, adjtimex(2)). What does not fit (the clock jumped, the machine
// slept, a tick got another length) makes it begin anew. (A clock slewed faster is wrong by up to a tenth of a third of a millisecond,
// between the change of its rate and the next reading.)
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
        if (after - before > kQuickTicks) {  // interrupted in between: says too little
            before_ = after_ = 0;
            return;
        }
        if (base_ && (after < base_ || ns < base_ns_ || !fits(before, ns, after))) *this = {};
        before_ = before;
        after_ = after;
        ns_ = ns;
        if (!base_) {
            base_ = after;
            base_ns_ = ns;
        } else if (u64 ticks = after - base_; ticks >= kMeasuredTicks) {
            u64 length = u64(((unsigned __int128)(ns - base_ns_) << 32) / ticks);
            bool same = length - last_length_ + last_length_ / 2048 <= last_length_ / 1024;
            ns_a_tick_ = same ? length : 0;
            last_length_ = length;
            base_ = after;
            base_ns_ = ns;
        }
    }

    // Where the clock is when the counter is `tsc`. False: too long ago, or the length of a tick is not known.
    bool guess(u64 tsc, u64* least, u64* most) const {
        u64 longest = tsc - before_, shortest = tsc - after_;
        if (!ns_a_tick_ || !before_ || longest > kTrustTicks || shortest > kTrustTicks) return false;
        *least = ns_ + span(shortest, 1023);
        *most = ns_ + span(longest, 1025) + 1;
        return true;
    }

private:
    static constexpr u64 kQuickTicks = 8192, kMeasuredTicks = 1u << 25, kTrustTicks = 1u << 20;

    u64 span(u64 ticks, u64 parts) const { return u64((unsigned __int128)ticks * parts / 1024 * ns_a_tick_ >> 32); }

    // Is the reading where the one before says?
    bool fits(u64 before, u64 ns, u64 after) const {
        if (!ns_a_tick_ || !before_) return true;
        return ns >= ns_ + span(before > after_ ? before - after_ : 0, 1023) && ns <= ns_ + span(after - before_, 1025) + 1;
    }

    u64 before_ = 0, after_ = 0, ns_ = 0;  // the last reading; before_ 0: none
    u64 base_ = 0, base_ns_ = 0;           // where the present measurement began
    u64 last_length_ = 0, ns_a_tick_ = 0;  // of a tick, 32 binary places; the second once two agree
};

}  // namespace ocrun
