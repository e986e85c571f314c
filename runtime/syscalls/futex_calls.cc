// futex_calls.cc - futex, futex_waitv, futex_wait/wake/requeue (futex(2), futex_waitv(2))
#include <asm/errno.h>
#include <linux/futex.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/io/ring.h"
#include "runtime/sync/futex.h"
#include "runtime/syscalls/io_wait.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

constexpr u64 kSecond = 1000000000ul;

bool valid(const Timespec64& t) { return t.tv_sec >= 0 && t.tv_nsec >= 0 && u64(t.tv_nsec) < kSecond; }

u64 to_ns(const Timespec64& t) {
    return u64(t.tv_sec) > (~0ul >> 2) / kSecond ? ~0ul >> 2 : u64(t.tv_sec) * kSecond + u64(t.tv_nsec);
}

// An absolute time of a clock as a monotonic deadline.
u64 absolute_deadline(const Timespec64& t, bool realtime) {
    u64 at = to_ns(t);
    if (!realtime) return at;
    u64 wall = realtime_ns(), now = now_ns();
    return at > wall ? now + (at - wall) : 0;
}

// A wait in the kernel's own table (futex_in_kernel): by the ring, else by a helper. `relative`: the helper's call
// takes the time that is left (FUTEX_WAIT).
long wait_in_kernel(Call& call, const RingOp& op, u64 deadline, bool relative) {
    Coroutine* c = call.c;
    bool ring = !wants_helper(call) && !blocks_here(c);
    for (;;) {
        long r = ring ? ring_call(c, op, deadline, true, "shared futex", call.a[0]) : kNoRing;
        if (r == kNoRing) {
            ring = false;
            Call rest = call;
            Timespec64 left;
            if (relative && deadline != kNever) {
                left = remaining(deadline);
                rest.a[3] = u64(&left);
            }
            if (blocks_here(c)) {
                r = blocking_syscall(rest.nr, rest.a).result;
                attend();
            } else {
                r = offload_call(c, rest.nr, rest.a, "shared futex");
            }
        }
        if (r != -EINTR) return r;
        if (!signal_pending(c)) continue;
        if (deadline == kNever) return kRestartSys;
        if (relative) c->restart_deadline_ns = deadline;
        return kRestartRestartBlock;
    }
}

}  // namespace

namespace {

// A word in shared memory may have its owner in another process, which knows nothing of waiters here: they look again and again.
constexpr u64 kLookAgainNs = 1000000;

u32 owner_of(u64 address) {
    u32 value;
    return guest_load_u32((const u32*)address, &value) ? 0 : value & FUTEX_TID_MASK;
}

// ESRCH: no thread has the id in the word. That may be because it is a coroutine's, of some process; and since the kernel looked, the
// owner may have gone or changed. Only an owner that was there before the call, and is the same after it, says that there is none.
bool owner_is_dead(u64 address, u32 owner_before) {
    u32 owner = owner_of(address);
    return owner && owner == owner_before && (owner < kFirstThreadId || owner >= kThreadIdEnd);
}

// FUTEX_LOCK_PI, FUTEX_LOCK_PI2 of a lone thread: the kernel's, but for words that a threaded process of the tree holds.
long lock_pi_alone(Call& call) {
    u64 deadline = kNever;
    for (;;) {
        u32 owner = owner_of(call.a[0]);
        long r = blocking_native(call, kRestartSys);
        if (r != -ESRCH || owner_is_dead(call.a[0], owner)) return r;
        if (!owner_of(call.a[0])) continue;
        if (call.a[3] && deadline == kNever) {
            Timespec64 t;
            if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
            deadline = absolute_deadline(t, (call.a[1] & FUTEX_CMD_MASK) == FUTEX_LOCK_PI || (call.a[1] & FUTEX_CLOCK_REALTIME));
        }
        if (now_ns() >= deadline) return -ETIMEDOUT;
        const timespec pause{0, long(kLookAgainNs)};
        oc_syscall_intr(__NR_nanosleep, (long)&pause, 0, 0, 0, 0, 0);
        attend();
        if (signal_pending(call.c)) return kRestartNoIntr;
    }
}

}  // namespace

// The kernel counts after it has woken one.
static u32 wakes(u32 asked) { return i32(asked) < 1 ? 1 : asked; }

long h_futex(Call& call) {
    Coroutine* c = call.c;
    u32 op = u32(call.a[1]);
    u32 command = op & FUTEX_CMD_MASK;
    bool realtime = op & FUTEX_CLOCK_REALTIME;
    u64 address = call.a[0];
    u32 value = u32(call.a[2]);
    bool timed_wait = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;

    // A lone coroutine cannot be woken by anything in its own process: the kernel waits best, and knows every rule.
    if (!g_multi) {
        if (command == FUTEX_TRYLOCK_PI) {
            u32 owner = owner_of(address);
            long r = native(call);
            return r == -ESRCH && !owner_is_dead(address, owner) ? -EAGAIN : r;
        }
        if (!timed_wait && command != FUTEX_LOCK_PI && command != FUTEX_LOCK_PI2 && command != FUTEX_WAIT_REQUEUE_PI) return native(call);
        if (command == FUTEX_WAIT && call.a[3]) {
            // Relative: a repeat after a signal without effect must not start over.
            Timespec64 t;
            if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
            if (!valid(t)) return -EINVAL;
            u64 deadline = c->restart_deadline_ns ? c->restart_deadline_ns : now_ns() + to_ns(t);
            for (;;) {
                Timespec64 left = remaining(deadline);
                long r = oc_syscall_intr(__NR_futex, (long)address, op, value, (long)&left, 0, 0);
                if (r != -EINTR) return r;
                attend();
                if (signal_pending(c)) {
                    c->restart_deadline_ns = deadline;
                    return kRestartRestartBlock;
                }
            }
        }
        if (command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2) return lock_pi_alone(call);
        // With a time limit no handler lets it go on (futex_wait in the kernel: ERESTART_RESTARTBLOCK).
        return blocking_native(call, command == FUTEX_WAIT_BITSET && call.a[3] ? kRestartRestartBlock : kRestartSys);
    }

    if (realtime && command != FUTEX_WAIT_BITSET && command != FUTEX_WAIT_REQUEUE_PI && command != FUTEX_LOCK_PI2) return native(call);
    switch (command) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET: {
            u64 deadline = kNever;
            if (call.a[3]) {
                Timespec64 t;
                if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
                if (!valid(t)) return -EINVAL;
                if (command == FUTEX_WAIT)
                    deadline = c->restart_deadline_ns ? c->restart_deadline_ns : now_ns() + to_ns(t);
                else
                    deadline = absolute_deadline(t, realtime);
            }
            u32 bitset = command == FUTEX_WAIT ? ~0u : u32(call.a[5]);
            if (futex_in_kernel(address, op))
                return wait_in_kernel(call, ring_futex_wait(address, value, bitset, op), deadline, command == FUTEX_WAIT);
            for (;;) {
                long r = futex_wait(c, address, value, bitset, deadline);
                if (r != -EINTR) return r;
                if (!signal_pending(c)) continue;
                if (deadline == kNever) return kRestartSys;
                if (command == FUTEX_WAIT) c->restart_deadline_ns = deadline;
                return kRestartRestartBlock;
            }
        }
        case FUTEX_WAKE:
        case FUTEX_WAKE_BITSET:
            if (futex_in_kernel(address, op)) return native(call);
            return futex_wake(address, wakes(value), command == FUTEX_WAKE ? ~0u : u32(call.a[5]));
        case FUTEX_REQUEUE:
        case FUTEX_CMP_REQUEUE:
            if (futex_in_kernel(address, op)) return native(call);
            if (i32(value) < 0 || i32(call.a[3]) < 0) return -EINVAL;
            return futex_requeue(address, value, call.a[4], u32(call.a[3]), command == FUTEX_CMP_REQUEUE, u32(call.a[5]));
        case FUTEX_WAKE_OP:
            if (futex_in_kernel(address, op)) return native(call);
            return futex_wake_op(address, wakes(value), call.a[4], wakes(u32(call.a[3])), u32(call.a[5]));
        case FUTEX_LOCK_PI:
        case FUTEX_LOCK_PI2: {
            bool shared = futex_is_shared(address, op);
            u64 deadline = kNever;
            if (call.a[3]) {
                Timespec64 t;
                if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
                if (!valid(t)) return -EINVAL;
                deadline = absolute_deadline(t, command == FUTEX_LOCK_PI || realtime);
            }
            // glibc takes any error for success, so refusing is worse.
            for (;;) {
                u64 now = now_ns(), until = shared && deadline > now + kLookAgainNs ? now + kLookAgainNs : deadline;
                long r = futex_lock_pi(c, address, until);
                if (r == -EINTR) return kRestartNoIntr;
                if (!shared || (r != -ESRCH && r != -ETIMEDOUT)) return r;
                if (deadline <= now) return -ETIMEDOUT;
                if (r == -ETIMEDOUT) continue;
                wait_begin(c, true);
                wait_park(c, until, "futex", address);
                if (signal_pending(c)) return kRestartNoIntr;
            }
        }
        case FUTEX_TRYLOCK_PI: {
            u32 owner = owner_of(address);
            long r = futex_trylock_pi(c, address);
            return r == -ESRCH && futex_is_shared(address, op) && !owner_is_dead(address, owner) ? -EAGAIN : r;
        }
        case FUTEX_WAIT_REQUEUE_PI: {
            if (futex_is_shared(address, op)) return -ENOSYS;
            u64 deadline = kNever;
            if (call.a[3]) {
                Timespec64 t;
                if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
                if (!valid(t)) return -EINVAL;
                deadline = absolute_deadline(t, realtime);
            }
            for (;;) {
                bool moved = false;
                long r = futex_wait_requeue_pi(c, address, value, call.a[4], deadline, &moved);
                if (r != -EINTR) return r;
                // The word has changed by now, so there is no starting over.
                if (moved) return -EAGAIN;
                if (signal_pending(c)) return kRestartNoIntr;
            }
        }
        case FUTEX_CMP_REQUEUE_PI:
            if (futex_is_shared(address, op)) return -ENOSYS;
            if (value != 1 || i32(call.a[3]) < 0) return -EINVAL;
            return futex_requeue_pi(address, call.a[4], u32(call.a[3]), u32(call.a[5]));
        case FUTEX_UNLOCK_PI:
            return futex_unlock_pi(c, address);
        default:
            return command <= FUTEX_LOCK_PI2 ? -ENOSYS : native(call);
    }
}

long h_futex_waitv(Call& call) {
    if (!g_multi) return blocking_native(call, kRestartSys);
    struct Entry {
        u64 value, address;
        u32 flags, reserved;
    };
    u32 n = u32(call.a[1]);
    if (call.a[2] || !n || n > FUTEX_WAITV_MAX || !call.a[0]) return -EINVAL;
    i32 clock = i32(call.a[4]);
    if (call.a[3] && clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return -EINVAL;
    FutexWaitV words[FUTEX_WAITV_MAX];
    bool in_kernel = false;
    for (u32 i = 0; i < n; i++) {
        Entry e;
        if (get_guest(&e, (void*)(call.a[0] + i * sizeof e))) return -EFAULT;
        if (e.reserved || (e.flags & ~u32(FUTEX_32 | FUTEX_PRIVATE_FLAG)) || !(e.flags & FUTEX_32) || e.value >> 32) return -EINVAL;
        in_kernel |= futex_in_kernel(e.address, e.flags & FUTEX_PRIVATE_FLAG);
        words[i] = {e.address, u32(e.value)};
    }
    u64 deadline = kNever;
    if (call.a[3]) {
        Timespec64 t;
        if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
        if (!valid(t)) return -EINVAL;
        deadline = absolute_deadline(t, clock == CLOCK_REALTIME);
    }
    if (in_kernel) return wait_in_kernel(call, ring_futex_waitv(call.a[0], n), deadline, false);
    long r = futex_wait_many(call.c, words, n, deadline);
    return r == -EINTR ? kRestartSys : r;
}

// futex_wake, futex_wait, futex_requeue (Linux 6.7): libcs fall back to futex(2).
long h_futex_wake(Call& call) { return g_multi ? -ENOSYS : native(call); }
long h_futex_wait(Call& call) { return g_multi ? -ENOSYS : blocking_native(call, kRestartSys); }
long h_futex_requeue(Call& call) { return g_multi ? -ENOSYS : native(call); }

}  // namespace ocrun
