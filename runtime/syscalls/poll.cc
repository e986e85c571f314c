// poll.cc - poll, ppoll, select, pselect6 and the epoll_wait family
//
// Alone in its process a coroutine waits in the kernel. Otherwise the kernel is asked with a time-out of zero, and
// while nothing is ready the coroutine is linked to every descriptor (io/readiness.h) and parks; each wake asks
// again. Time-outs are deadlines on the monotonic clock. A mask given with the call is in effect only while it waits:
// what is ready at once is returned before a signal is looked at, as the kernel does it. Follows poll(2), select(2),
// epoll_wait(2), signal(7); fs/select.c for what is written back.
#include <asm/errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/io/readiness.h"
#include "runtime/syscalls/io_wait.h"

namespace ocrun {

namespace {

constexpr u64 kSecond = 1000000000ul;
constexpr u64 kMaskBytes = 8;

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
    bool park(Coroutine* c, u64 deadline_ns, const char* what, WakeReason* why) {
        u64 token = wait_begin(c, true);
        bool moved = false, possible = true;
        u64 linked = 0;
        for (; linked < used_ && !moved && possible; linked++) {
            FdWaiter& w = entries_[linked].w;
            w.c = c;
            w.token = token;
            switch (fd_link(&w, entries_[linked].seen)) {
                case 0:
                    break;
                case -EPERM:
                    break;  // a regular file: what is not ready now never will be
                case 1:
                case -EBADF:
                    moved = true;
                    break;
                default:
                    possible = false;
            }
        }
        if (moved || !possible) wake(c, token, WakeReason::woken);
        *why = wait_park(c, deadline_ns, what, used_);
        for (u64 i = 0; i < linked; i++) fd_unlink(&entries_[i].w);
        return possible;
    }

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
bool goes_on(Coroutine* c) {
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
// 0: time is up. -EINTR: a signal. kNoReadiness: must be waited for in the kernel.
template <class Ask, class Collect>
long wait_for_any(Coroutine* c, u64 deadline_ns, const char* what, WaitSet& set, Ask ask, Collect collect) {
    bool timed_out = false;
    for (;;) {
        if (!collect(set)) return kNoReadiness;
        long r = ask_now(c, ask);
        if (r != 0) return r;
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

long read_mask(u64 guest, u64 bytes, Mask* m) {
    if (!guest) return 0;
    if (bytes != kMaskBytes) return -EINVAL;
    m->given = true;
    return get_guest(&m->set, (void*)guest);
}

void apply(Coroutine* c, const Mask& m) {
    if (m.given) signal_set_temporary_mask(c, m.set);
}

// The end of a call that may have set a mask: with a restart code the mask stays until the handler runs; else it goes
// before any signal is looked at.
long leave(Coroutine* c, long r) {
    if (!is_restart(r) && c->restore_mask) {
        c->restore_mask = false;
        signal_set_mask(c, c->saved_mask);
    }
    return r;
}

u64 span_ns(const Timespec64& t) {
    constexpr u64 kFar = ~0ul >> 2;
    return u64(t.tv_sec) > kFar / kSecond ? kFar : u64(t.tv_sec) * kSecond + u64(t.tv_nsec);
}

// Milliseconds that are left, rounded up; -1 for ever.
i64 milliseconds_left(u64 deadline_ns) {
    if (deadline_ns == kNever) return -1;
    u64 now = now_ns();
    if (deadline_ns <= now) return 0;
    u64 ms = (deadline_ns - now + 999999) / 1000000;
    return ms > 0x7fffffff ? 0x7fffffff : i64(ms);
}

// What poll and epoll_wait are given; a call repeated after a signal without effect goes on to its first deadline.
u64 milliseconds_deadline(Coroutine* c, i32 ms) {
    if (ms < 0) return kNever;
    if (c->restart_deadline_ns) return c->restart_deadline_ns;
    return now_ns() + u64(ms) * 1000000;
}

// ---- poll
// ------------------------------------------------------------------------------------------------------------

u32 epoll_events(short events) {
    u32 e = 0;
    if (events & (POLLIN | POLLRDNORM | POLLRDBAND | POLLMSG)) e |= EPOLLIN;
    if (events & (POLLPRI | POLLRDBAND)) e |= EPOLLPRI;
    if (events & (POLLOUT | POLLWRNORM | POLLWRBAND)) e |= EPOLLOUT;
    if (events & POLLRDHUP) e |= EPOLLRDHUP;
    return e;
}

bool collect_pollfds(WaitSet& set, u64 guest, u64 n) {
    if (!set.reset(n)) return false;
    constexpr u64 kBatch = 16;
    pollfd part[kBatch];
    for (u64 i = 0; i < n; i += kBatch) {
        u64 count = n - i < kBatch ? n - i : kBatch;
        if (copy_from_guest(part, (pollfd*)guest + i, count * sizeof(pollfd))) return true;  // the kernel says EFAULT
        for (u64 k = 0; k < count; k++)
            if (part[k].fd >= 0) set.add(part[k].fd, epoll_events(part[k].events));
    }
    return true;
}

// poll and ppoll until the deadline: count, 0, -EINTR or another error.
long poll_until(Coroutine* c, u64 guest, u64 n, u64 deadline_ns, const Mask& mask) {
    auto ask = [&] { return sys(__NR_poll, guest, n, 0); };
    if (!blocks_here(c) || mask.given) {
        long r = ask_now(c, ask);
        if (r != 0) return r;
    }
    apply(c, mask);
    if (!blocks_here(c)) {
        WaitSet set;
        long r =
            wait_for_any(c, deadline_ns, "poll", set, ask, [&](WaitSet& s) { return collect_pollfds(s, guest, n); });
        if (r != kNoReadiness) return r;
    }
    for (;;) {
        Timespec64 left = deadline_ns == kNever ? Timespec64{} : remaining(deadline_ns);
        u64 args[6] = {guest, n, deadline_ns == kNever ? 0 : u64(&left), 0, 0, 0};
        long r = blocks_here(c) ? blocking_syscall(__NR_ppoll, args).result : offload_call(c, __NR_ppoll, args, "poll");
        if (r != -EINTR || !goes_on(c)) return r;
    }
}

}  // namespace

long h_poll(Call& call) {
    Coroutine* c = call.c;
    i32 ms = i32(call.a[2]);
    if (ms == 0) {
        long r = ask_now(c, [&] { return native(call); });
        return r == -EINTR ? kRestartRestartBlock : r;
    }
    u64 deadline = milliseconds_deadline(c, ms);
    long r = poll_until(c, call.a[0], u32(call.a[1]), deadline, {});
    if (r != -EINTR) return r;
    c->restart_deadline_ns = deadline == kNever ? 0 : deadline;
    return kRestartRestartBlock;
}

namespace {

// Writes back what is left of a relative time-out; a zero time-out is left alone (fs/select.c, poll_select_finish).
long finish_timespec(u64 guest, const Timespec64& asked, u64 deadline_ns, long r) {
    if (guest && (asked.tv_sec || asked.tv_nsec) && put_guest((void*)guest, remaining(deadline_ns)) &&
        r == kRestartNoHand)
        return -EINTR;
    return r;
}

struct Timeout {
    Timespec64 asked{};
    u64 deadline_ns = kNever;
};

long read_timespec(u64 guest, Timeout* t) {
    if (!guest) return 0;
    if (get_guest(&t->asked, (void*)guest)) return -EFAULT;
    return deadline_from(t->asked, &t->deadline_ns);
}

}  // namespace

long h_ppoll(Call& call) {
    Coroutine* c = call.c;
    Timeout t;
    Mask mask;
    long r = read_timespec(call.a[2], &t);
    if (!r) r = read_mask(call.a[3], call.a[4], &mask);
    if (r) return r;
    r = poll_until(c, call.a[0], u32(call.a[1]), t.deadline_ns, mask);
    return leave(c, finish_timespec(call.a[2], t.asked, t.deadline_ns, r == -EINTR ? kRestartNoHand : r));
}

// ---- select
// ----------------------------------------------------------------------------------------------------------

namespace {

// The three sets of a select: the guest's, and the kernel's answer beside them.
class FdSets {
public:
    FdSets() = default;
    ~FdSets() {
        if (words_ != few_) pages_free(words_, bytes_);
    }
    FdSets(const FdSets&) = delete;
    FdSets& operator=(const FdSets&) = delete;

    // n: descriptors. 0 or -errno.
    long read(i32 n, const u64 guest[3]) {
        if (n < 0) return -EINVAL;
        // More than the table of descriptors can ever hold is cut off, as the kernel does at the table's size.
        constexpr i32 kMostDescriptors = 1 << 20;
        n_ = n > kMostDescriptors ? kMostDescriptors : n;
        per_set_ = u64(n_ + 63) / 64;
        if (6 * per_set_ > kFewWords) {
            bytes_ = 6 * per_set_ * 8;
            u64* many = (u64*)pages_alloc(bytes_);
            if (!many) return -ENOMEM;
            words_ = many;
        }
        for (int s = 0; s < 3; s++) {
            guest_[s] = guest[s];
            if (guest[s] && copy_from_guest(asked(s), (void*)guest[s], per_set_ * 8)) return -EFAULT;
        }
        return 0;
    }
    // The kernel's answer right now.
    long ask() {
        for (int s = 0; s < 3; s++)
            if (guest_[s]) memcpy(answer(s), asked(s), per_set_ * 8);
        timespec none{0, 0};
        return sys(__NR_pselect6, n_, guest_[0] ? answer(0) : nullptr, guest_[1] ? answer(1) : nullptr,
                   guest_[2] ? answer(2) : nullptr, &none, nullptr);
    }
    bool collect(WaitSet& set) {
        u64 count = 0;
        for (u64 i = 0; i < per_set_; i++) count += u64(__builtin_popcountl(any(i)));
        if (!set.reset(count)) return false;
        for (u64 i = 0; i < per_set_; i++)
            for (u64 bits = any(i); bits; bits &= bits - 1) {
                int bit = __builtin_ctzl(bits);
                u64 one = 1ul << bit;
                u32 events = 0;
                if (in(0, i) & one) events |= EPOLLIN;
                if (in(1, i) & one) events |= EPOLLOUT;
                if (in(2, i) & one) events |= EPOLLPRI;
                set.add(int(i * 64) + bit, events);
            }
        return true;
    }
    // The last answer to the guest: 0 or -EFAULT.
    long write() {
        for (int s = 0; s < 3; s++)
            if (guest_[s] && copy_to_guest((void*)guest_[s], answer(s), per_set_ * 8)) return -EFAULT;
        return 0;
    }
    // For a wait in the kernel.
    void answer_from_asked() {
        for (int s = 0; s < 3; s++)
            if (guest_[s]) memcpy(answer(s), asked(s), per_set_ * 8);
    }
    u64 answer_address(int s) { return guest_[s] ? u64(answer(s)) : 0; }
    i32 n() const { return n_; }

private:
    static constexpr u64 kFewWords = 6 * 16;  // 1024 descriptors, the size of an fd_set

    u64* asked(int s) { return words_ + u64(s) * per_set_; }
    u64* answer(int s) { return words_ + u64(s + 3) * per_set_; }
    u64 in(int s, u64 i) { return guest_[s] ? asked(s)[i] : 0; }
    u64 any(u64 i) {
        u64 bits = in(0, i) | in(1, i) | in(2, i);
        u64 last = u64(n_) - i * 64;
        return last >= 64 ? bits : bits & ((1ul << last) - 1);
    }

    i32 n_ = 0;
    u64 per_set_ = 0, bytes_ = 0;
    u64 guest_[3] = {};
    u64* words_ = few_;
    u64 few_[kFewWords];
};

long select_until(Call& call, u64 deadline_ns, const Mask& mask) {
    Coroutine* c = call.c;
    FdSets sets;
    u64 guest[3] = {call.a[1], call.a[2], call.a[3]};
    long r = sets.read(i32(call.a[0]), guest);
    if (r) return r;
    auto ask = [&] { return sets.ask(); };
    r = !blocks_here(c) || mask.given ? ask_now(c, ask) : 0;
    if (r == 0) {
        apply(c, mask);
        WaitSet set;
        r = blocks_here(c) ? kNoReadiness
                           : wait_for_any(c, deadline_ns, "select", set, ask, [&](WaitSet& s) { return sets.collect(s); });
    }
    while (r == kNoReadiness) {
        sets.answer_from_asked();
        Timespec64 left = deadline_ns == kNever ? Timespec64{} : remaining(deadline_ns);
        u64 args[6] = {u64(sets.n()),
                       sets.answer_address(0),
                       sets.answer_address(1),
                       sets.answer_address(2),
                       deadline_ns == kNever ? 0 : u64(&left),
                       0};
        r = blocks_here(c) ? blocking_syscall(__NR_pselect6, args).result : offload_call(c, __NR_pselect6, args, "select");
        if (r == -EINTR && goes_on(c)) r = kNoReadiness;
    }
    if (r >= 0 && sets.write()) r = -EFAULT;
    return r == -EINTR ? kRestartNoHand : r;
}

}  // namespace

long h_select(Call& call) {
    struct {
        i64 seconds, microseconds;
    } asked{};
    u64 deadline = kNever;
    if (call.a[4]) {
        if (get_guest(&asked, (void*)call.a[4])) return -EFAULT;
        if (asked.seconds < 0 || asked.microseconds < 0) return -EINVAL;
        Timespec64 t{asked.seconds + asked.microseconds / 1000000, asked.microseconds % 1000000 * 1000};
        if (t.tv_sec < 0) return -EINVAL;
        deadline = now_ns() + span_ns(t);
    }
    long r = select_until(call, deadline, {});
    if (deadline == kNever || (!asked.seconds && !asked.microseconds)) return r;
    Timespec64 left = remaining(deadline);
    asked = {left.tv_sec, left.tv_nsec / 1000};
    return put_guest((void*)call.a[4], asked) && r == kRestartNoHand ? -EINTR : r;
}

long h_pselect6(Call& call) {
    Timeout t;
    Mask mask;
    struct {
        u64 set, bytes;
    } argument{};
    if (call.a[5] && get_guest(&argument, (void*)call.a[5])) return -EFAULT;
    long r = read_timespec(call.a[4], &t);
    if (!r) r = read_mask(argument.set, argument.bytes, &mask);
    if (r) return r;
    r = select_until(call, t.deadline_ns, mask);
    return leave(call.c, finish_timespec(call.a[4], t.asked, t.deadline_ns, r));
}

// ---- epoll
// -----------------------------------------------------------------------------------------------------------

namespace {

// In the kernel the wait is made by the guest's own kind of call: epoll_pwait2 is exact and newer than the others.
long epoll_until(Call& call, u64 deadline_ns, const Mask& mask) {
    Coroutine* c = call.c;
    u64 ep = call.a[0], events = call.a[1], most = call.a[2];
    auto ask = [&] { return sys(__NR_epoll_wait, ep, events, most, 0); };
    if (!blocks_here(c) || mask.given) {
        long r = ask_now(c, ask);
        if (r != 0) return r;
    }
    apply(c, mask);
    if (!blocks_here(c)) {
        WaitSet set;
        long r = wait_for_any(c, deadline_ns, "epoll", set, ask, [&](WaitSet& s) {
            s.reset(1);
            s.add(int(ep), EPOLLIN);
            return true;
        });
        if (r != kNoReadiness) return r;
    }
    for (;;) {
        bool exact = call.nr == __NR_epoll_pwait2;
        u32 nr = exact ? __NR_epoll_pwait2 : __NR_epoll_wait;
        Timespec64 left = exact && deadline_ns != kNever ? remaining(deadline_ns) : Timespec64{};
        u64 limit = exact ? (deadline_ns == kNever ? 0 : u64(&left)) : u64(milliseconds_left(deadline_ns));
        u64 args[6] = {ep, events, most, limit, 0, 0};
        long r = blocks_here(c) ? blocking_syscall(nr, args).result : offload_call(c, nr, args, "epoll");
        if (r != -EINTR || !goes_on(c)) {
            // Milliseconds overflow after 24 days: not the guest's end of time.
            if (r == 0 && deadline_ns != kNever && now_ns() < deadline_ns) continue;
            return r;
        }
    }
}

long epoll_finish(Coroutine* c, u64 deadline_ns, long r) {
    if (r != -EINTR) return leave(c, r);
    c->restart_deadline_ns = deadline_ns == kNever ? 0 : deadline_ns;
    return kRestartNoHand;
}

}  // namespace

long h_epoll_wait(Call& call) {
    i32 ms = i32(call.a[3]);
    if (ms == 0) return ask_now(call.c, [&] { return native(call); });
    u64 deadline = milliseconds_deadline(call.c, ms);
    return epoll_finish(call.c, deadline, epoll_until(call, deadline, {}));
}

long h_epoll_pwait(Call& call) {
    Mask mask;
    if (long r = read_mask(call.a[4], call.a[5], &mask)) return r;
    u64 deadline = milliseconds_deadline(call.c, i32(call.a[3]));
    return epoll_finish(call.c, deadline, epoll_until(call, deadline, mask));
}

long h_epoll_pwait2(Call& call) {
    Timeout t;
    Mask mask;
    long r = read_timespec(call.a[3], &t);
    if (!r) r = read_mask(call.a[4], call.a[5], &mask);
    if (r) return r;
    if (call.a[3] && call.c->restart_deadline_ns) t.deadline_ns = call.c->restart_deadline_ns;
    return epoll_finish(call.c, t.deadline_ns, epoll_until(call, t.deadline_ns, mask));
}

}  // namespace ocrun
