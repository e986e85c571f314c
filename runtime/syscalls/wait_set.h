// wait_set.h - what poll, select and epoll_wait share: waits for many descriptors, their time-outs and their masks
//
// Alone in its process a coroutine waits in the kernel. Otherwise the kernel is asked with a time-out of zero, and
// while nothing is ready the coroutine is linked to every descriptor (io/readiness.h) and parks; each wake asks
// again. Time-outs are deadlines on the monotonic clock. A mask given with the call is in effect only while it waits:
// what is ready at once is returned before a signal is looked at, as the kernel does it. Follows signal(7).
#pragma once
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/io/readiness.h"
#include "runtime/syscalls/io_wait.h"

namespace ocrun {

// select looks at no more descriptors than the process's table has places for. The least that a table with more than 64 has; and one of
// that number or above was closed.
inline constexpr i32 kLeastTable = 256;
void select_note_closed(i32 fd);

// The descriptors of one wait.
class WaitSet {
public:
    WaitSet() = default;
    ~WaitSet() { release(); }
    WaitSet(const WaitSet&) = delete;
    WaitSet& operator=(const WaitSet&) = delete;

    // Room for n; false when there is no memory.
    bool reset(u64 n) {
        used_ = 0;
        if (n <= capacity_) return true;
        release();
        bytes_ = n * sizeof(Entry);
        entries_ = (Entry*)pages_alloc(bytes_);
        if (!entries_) {
            entries_ = few_;
            return false;
        }
        capacity_ = n;
        return true;
    }
    // Before the kernel is asked: notes the descriptor's sequence.
    void add(int fd, u32 events) {
        if (used_ == capacity_) return;
        Entry& e = entries_[used_++];
        e.w = {};
        e.w.fd = fd;
        e.w.events = events;
        e.seen = fd_sequence(fd);
    }
    // Parks until one of them moves. False when one of them cannot be waited for here.
    bool park(Coroutine* c, u64 deadline_ns, const char* what, WakeReason* why);

private:
    struct Entry {
        FdWaiter w;
        u32 seen;
    };
    static constexpr u64 kFew = 16;

    void release() {
        if (entries_ != few_) pages_free(entries_, bytes_);
        entries_ = few_;
        capacity_ = kFew;
    }

    Entry few_[kFew];
    Entry* entries_ = few_;
    u64 capacity_ = kFew, used_ = 0, bytes_ = 0;
};

// Ends a wait in the kernel that a latched signal interrupted: true when it goes on.
inline bool goes_on(Coroutine* c) {
    attend();
    return !signal_pending(c);
}

// The kernel's answer without waiting. A tick makes even that return EINTR; a signal for the guest may.
template <class Ask>
long ask_now(Coroutine* c, Ask ask) {
    for (;;) {
        long r = ask();
        if (r != -EINTR || !goes_on(c)) return r;
    }
}

// Asks and parks in turn. ask(): > 0 or an error ends the wait. collect(set): the descriptors, before each asking.
// until(): the deadline, asked for when nothing was ready at once. 0: time is up. -EINTR: a signal. kNoReadiness: must be waited for
// in the kernel.
template <class Until, class Ask, class Collect>
long wait_for_any(Coroutine* c, Until until, const char* what, WaitSet& set, Ask ask, Collect collect) {
    bool begun = false, timed_out = false;
    u64 deadline_ns = kNever;
    for (;;) {
        if (!collect(set)) return kNoReadiness;
        long r = ask_now(c, ask);
        if (r != 0) return r;
        if (!begun) deadline_ns = until();
        begun = true;
        if (signal_pending(c)) return -EINTR;
        if (timed_out) return 0;
        WakeReason why;
        if (!set.park(c, deadline_ns, what, &why)) return kNoReadiness;
        if (why == WakeReason::timeout) timed_out = true;
    }
}

// A signal mask in a call's arguments.
struct Mask {
    bool given = false;
    u64 set = 0;
};
// 0 or -errno.
long read_mask(u64 guest, u64 bytes, Mask* m);
inline void apply_mask(Coroutine* c, const Mask& m) {
    if (m.given) signal_set_temporary_mask(c, m.set);
}
// The end of a call that may have set a mask: with a restart code the mask stays until the handler runs; else it goes
// before any signal is looked at.
long leave_mask(Coroutine* c, long r);

// What poll and epoll_wait are given; a call repeated after a signal without effect goes on to its first deadline. The clock is read
// when the deadline is first asked for: where something is ready at once it need not be.
class Milliseconds {
public:
    Milliseconds(Coroutine* c, i32 ms) : c_(c), ms_(ms) {}
    u64 operator()() {
        if (!known_) deadline_ns_ = ms_ < 0 ? kNever : c_->restart_deadline_ns ? c_->restart_deadline_ns : now_or_later_ns() + u64(ms_) * 1000000;
        known_ = true;
        return deadline_ns_;
    }

private:
    Coroutine* c_;
    i32 ms_;
    bool known_ = false;
    u64 deadline_ns_ = kNever;
};

// A relative time-out in a call's arguments.
struct Timeout {
    Timespec64 asked{};
    u64 deadline_ns = kNever;
};
// 0 or -errno.
long read_timeout(u64 guest, Timeout* t);
// What is left until the deadline, not more than was asked for (it is reckoned from a moment no earlier than the call's).
Timespec64 rest_of(const Timespec64& asked, u64 deadline_ns);
// Writes back what is left; a zero time-out is left alone (fs/select.c, poll_select_finish). Returns the call's result.
long finish_timeout(u64 guest, const Timeout& t, long r);

}  // namespace ocrun
