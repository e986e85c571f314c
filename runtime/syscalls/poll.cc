// poll.cc - poll and ppoll
//
// Follows poll(2); fs/select.c for what is written back.
#include <poll.h>
#include <sys/epoll.h>

#include "runtime/syscalls/wait_set.h"

namespace ocrun {

namespace {

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
template <class Until>
long poll_until(Coroutine* c, u64 guest, u64 n, Until& until, const Mask& mask) {
    auto ask = [&] { return hot_sys(__NR_poll, guest, n, 0); };
    if (!blocks_here(c) || mask.given) {
        long r = ask_now(c, ask);
        if (r != 0) return r;
    }
    apply_mask(c, mask);
    if (!blocks_here(c)) {
        WaitSet set;
        long r =
            wait_for_any(c, until, "poll", set, ask, [&](WaitSet& s) { return collect_pollfds(s, guest, n); });
        if (r != kNoReadiness) return r;
    }
    u64 deadline_ns = until();
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
    Milliseconds until(c, ms);
    long r = poll_until(c, call.a[0], u32(call.a[1]), until, {});
    if (r != -EINTR) return r;
    u64 deadline = until();
    c->restart_deadline_ns = deadline == kNever ? 0 : deadline;
    return kRestartRestartBlock;
}

long h_ppoll(Call& call) {
    Coroutine* c = call.c;
    Timeout t;
    Mask mask;
    long r = read_timeout(call.a[2], &t);
    if (!r) r = read_mask(call.a[3], call.a[4], &mask);
    if (r) return r;
    auto until = [&] { return t.deadline_ns; };
    r = poll_until(c, call.a[0], u32(call.a[1]), until, mask);
    return leave_mask(c, finish_timeout(call.a[2], t, r == -EINTR ? kRestartNoHand : r));
}

}  // namespace ocrun
