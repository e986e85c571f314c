// sleep.cc - nanosleep, clock_nanosleep (nanosleep(2), clock_nanosleep(2))
#include <asm/errno.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

namespace {

constexpr u64 kSecond = 1000000000ul;

// Sleeps until the monotonic deadline: 0, or a restart code when a signal is pending.
long sleep_until(Coroutine* c, u64 deadline) {
    if (!blocks_here(c)) {
        for (;;) {
            wait_begin(c, true);
            WakeReason why = wait_park(c, deadline, kWaitsForTime, deadline);
            if (why == WakeReason::timeout) return 0;
            if (signal_pending(c)) return kRestartRestartBlock;
            if (now_ns() >= deadline) return 0;
        }
    }
    timespec t{time_t(deadline / kSecond), long(deadline % kSecond)};
    for (;;) {
        const u64 args[6] = {CLOCK_MONOTONIC, TIMER_ABSTIME, u64(&t), 0, 0, 0};
        long r = blocking_syscall(__NR_clock_nanosleep, args).result;
        if (r != -EINTR) return r;
        attend();
        if (signal_pending(c)) return now_ns() >= deadline ? 0 : kRestartRestartBlock;
    }
}

// What is left goes where the call wants it, if anywhere.
long interrupted(Coroutine* c, u64 rest, u64 deadline) {
    c->restart_deadline_ns = deadline;
    return rest && put_guest((void*)rest, remaining(deadline)) ? -EFAULT : kRestartRestartBlock;
}

// The rest of relative_sleep without a stack.
long behind_sleep(Coroutine* c) {
    if (wait_ended(c) == WakeReason::timeout) return 0;
    u64 deadline = c->restart_deadline_ns;
    if (signal_pending(c)) return interrupted(c, c->call_nr == __NR_nanosleep ? c->regs.rsi : c->regs.r10, deadline);
    return now_ns() >= deadline ? 0 : kCallAgain;
}

long relative_sleep(Call& call, u64 request, u64 rest) {
    Timespec64 t;
    u64 deadline = call.c->restart_deadline_ns;
    if (get_guest(&t, (void*)request)) return -EFAULT;
    if (!deadline) {
        long r = deadline_from(t, &deadline);
        if (r) return r;
    }
    if (call.c->leaves_stack && !blocks_here(call.c)) {
        call.c->restart_deadline_ns = deadline;
        wait_begin(call.c, true);
        wait_prepare(call.c, deadline, kWaitsForTime, deadline, behind_sleep);
        return kParks;
    }
    long r = sleep_until(call.c, deadline);
    return r == kRestartRestartBlock ? interrupted(call.c, rest, deadline) : r;
}

}  // namespace

long h_nanosleep(Call& call) { return relative_sleep(call, call.a[0], call.a[1]); }

long h_clock_nanosleep(Call& call) {
    i32 clock = i32(call.a[0]);
    bool absolute = call.a[1] & TIMER_ABSTIME;
    bool wall = clock == CLOCK_REALTIME || clock == CLOCK_TAI;
    bool steady = clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME;
    if (!wall && !steady) {
        // CPU clocks and bad ids: the kernel's business. A CPU clock's sleep is long and rare.
        long r = blocking_call(call, kRestartNoHand, "clock_nanosleep");
        return r;
    }
    if (!absolute) return relative_sleep(call, call.a[2], call.a[3]);
    Timespec64 t;
    if (get_guest(&t, (void*)call.a[2])) return -EFAULT;
    if (t.tv_sec < 0 || t.tv_nsec < 0 || u64(t.tv_nsec) >= kSecond) return -EINVAL;
    if (blocks_here(call.c)) return blocking_native(call, kRestartNoHand);
    // The difference to the clock asked for, on the monotonic clock; looked at again after the sleep, since the wall clock
    // may have been set back meanwhile.
    for (;;) {
        timespec now;
        sys(__NR_clock_gettime, clock, &now);
        u64 target = u64(t.tv_sec) > (~0ul >> 2) / kSecond ? ~0ul >> 2 : u64(t.tv_sec) * kSecond + u64(t.tv_nsec);
        u64 current = u64(now.tv_sec) * kSecond + u64(now.tv_nsec);
        if (target <= current) return 0;
        long r = sleep_until(call.c, now_ns() + (target - current));
        if (r) return r == kRestartRestartBlock ? kRestartNoHand : r;
    }
}

}  // namespace ocrun
