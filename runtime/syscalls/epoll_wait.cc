// epoll_wait.cc - epoll_wait, epoll_pwait, epoll_pwait2
//
// Follows epoll_wait(2). (What the guest registers in its instance is the kernel's business.)
#include <sys/epoll.h>

#include "runtime/syscalls/wait_set.h"

namespace ocrun {

namespace {

// Milliseconds that are left, rounded up; -1 for ever.
i64 milliseconds_left(u64 deadline_ns) {
    if (deadline_ns == kNever) return -1;
    u64 now = now_ns();
    if (deadline_ns <= now) return 0;
    u64 ms = (deadline_ns - now + 999999) / 1000000;
    return ms > 0x7fffffff ? 0x7fffffff : i64(ms);
}

// In the kernel the wait is made by the guest's own kind of call: epoll_pwait2 is exact and newer than the others.
template <class Until>
long epoll_until(Call& call, Until& until, const Mask& mask) {
    Coroutine* c = call.c;
    u64 ep = call.a[0], events = call.a[1], most = call.a[2];
    auto ask = [&] { return hot_sys(__NR_epoll_wait, ep, events, most, 0); };
    auto begin = [&] {
        apply_mask(c, mask);
        return until();
    };
    long r = kNoReadiness;
    if (!blocks_here(c)) {
        WaitSet set;
        r = wait_for_any(c, begin, "epoll", set, ask, [&](WaitSet& s) {
            s.reset(1);
            s.add(int(ep), EPOLLIN);
            return true;
        });
    } else if (mask.given) {
        if ((r = ask_now(c, ask)) == 0) r = kNoReadiness;
    }
    if (r != kNoReadiness) return r;
    // The first time with the guest's own limit: nothing has gone of it yet.
    bool whole = blocks_here(c) && !c->restart_deadline_ns;
    u64 deadline_ns = begin();
    for (;; whole = false) {
        bool exact = call.nr == __NR_epoll_pwait2;
        u32 nr = exact ? __NR_epoll_pwait2 : __NR_epoll_wait;
        Timespec64 left = exact && deadline_ns != kNever ? remaining(deadline_ns) : Timespec64{};
        u64 limit = exact   ? (deadline_ns == kNever ? 0 : u64(&left))
                    : whole ? u64(i64(i32(call.a[3])))
                            : u64(milliseconds_left(deadline_ns));
        u64 args[6] = {ep, events, most, limit, 0, 0};
        r = blocks_here(c) ? blocking_syscall(nr, args).result : offload_call(c, nr, args, "epoll");
        if (r != -EINTR || !goes_on(c)) {
            // Milliseconds overflow after 24 days: not the guest's end of time.
            if (r == 0 && deadline_ns != kNever && now_ns() < deadline_ns) continue;
            return r;
        }
    }
}

template <class Until>
long epoll_finish(Coroutine* c, Until& until, long r) {
    if (r != -EINTR) return leave_mask(c, r);
    u64 deadline_ns = until();
    c->restart_deadline_ns = deadline_ns == kNever ? 0 : deadline_ns;
    return kRestartNoHand;
}

// What does not wait looks at no signal, whatever its mask lets through.
long look(Call& call) {
    return ask_now(call.c, [&] { return hot_sys(__NR_epoll_wait, call.a[0], call.a[1], call.a[2], 0); });
}

}  // namespace

long h_epoll_wait(Call& call) {
    i32 ms = i32(call.a[3]);
    if (ms == 0) return ask_now(call.c, [&] { return native(call); });
    Milliseconds until(call.c, ms);
    return epoll_finish(call.c, until, epoll_until(call, until, {}));
}

long h_epoll_pwait(Call& call) {
    Mask mask;
    if (long r = read_mask(call.a[4], call.a[5], &mask)) return r;
    if (i32(call.a[3]) == 0) return look(call);
    Milliseconds until(call.c, i32(call.a[3]));
    return epoll_finish(call.c, until, epoll_until(call, until, mask));
}

long h_epoll_pwait2(Call& call) {
    Timeout t;
    Mask mask;
    long r = read_timeout(call.a[3], &t);
    if (!r) r = read_mask(call.a[4], call.a[5], &mask);
    if (r) return r;
    if (call.a[3] && !t.asked.tv_sec && !t.asked.tv_nsec) return look(call);
    if (call.a[3] && call.c->restart_deadline_ns) t.deadline_ns = call.c->restart_deadline_ns;
    auto until = [&] { return t.deadline_ns; };
    return epoll_finish(call.c, until, epoll_until(call, until, mask));
}

}  // namespace ocrun
