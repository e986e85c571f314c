// futex_calls.cc - futex, futex_waitv, futex_wait/wake/requeue (futex(2), futex_waitv(2), kernel/futex/syscalls.c)
#include <asm/errno.h>
#include <linux/futex.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/io/ring.h"
#include "runtime/process/tid_blocks.h"
#include "runtime/sched/workers.h"
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
    u64 wall = realtime_ns(), now = now_or_later_ns();
    return at > wall ? now + (at - wall) : 0;
}

constexpr int kAddressBits = 47;

bool is_private(u32 op) { return op & FUTEX_PRIVATE_FLAG; }

// What the kernel says of the two places themselves (get_futex_key): 0, -EINVAL, -EFAULT. A requeue of nobody does nothing else.
long check_places(u64 first, u64 second, u32 op) {
    if (is_private(op) && !((first | second) & 3) && !((first | second) >> kAddressBits)) return 0;
    return sys(__NR_futex, first, FUTEX_REQUEUE | (op & FUTEX_PRIVATE_FLAG), 0, 0, second, 0);
}

// The same of a place for a wait, at the price of one instruction: private memory that cannot be written holds none of a wait that is
// not called private, nor of a PI lock.
long check_place(u64 address, u32 op) {
    u32 seen;
    if (is_private(op) || !(address & 3)) {
        if (is_private(op) ? !(address & 3) && !(address >> kAddressBits) : !guest_cas_u32((u32*)address, 0, 0, &seen)) return 0;
    }
    return check_places(address, address, op);
}

long check_writable(u64 address, u32 op) {
    if (long r = check_places(address, address, op)) return r;
    u32 seen;
    return is_private(op) ? 0 : guest_cas_u32((u32*)address, 0, 0, &seen);
}

// Fewer were woken than asked for. Meanwhile all words may have become the kernel's, with waiters that have not seen what was written
// before this call; and of a place where nobody waits the kernel would have said what is wrong with it.
[[gnu::cold]] long woke_fewer(Call& call, u32 op, u32 asked, long woken) {
    u64 address = call.a[0];
    if (woken >= 0 && futex_in_kernel(address, op)) {
        call.a[2] = asked - u32(woken);
        long more = native(call);
        return is_error(more) ? woken : woken + more;
    }
    if (woken || (is_private(op) && !(address >> kAddressBits))) return woken;
    return check_places(address, address, op);
}

// A wait in the kernel's own table (futex_in_kernel): by the ring, else by a helper. `relative`: the helper's call
// takes the time that is left (FUTEX_WAIT).
long wait_in_kernel(Call& call, const RingOp& op, u64 deadline, bool relative) {
    Coroutine* c = call.c;
    bool ring = op.opcode && !wants_helper(call) && !blocks_here(c);
    // The ring may find the time over before it looks at the word.
    u32 value;
    if (call.nr != __NR_futex_waitv && deadline != kNever && !(call.a[0] & 3) && !guest_load_u32((const u32*)call.a[0], &value) &&
        value != u32(call.nr == __NR_futex ? call.a[2] : call.a[1]))
        return -EAGAIN;
    // Over before it begins: the kernel says what else may be wrong.
    if (!relative && deadline != kNever && deadline <= now_ns()) return native(call);
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

// Robust and PI locks in shared memory whose owner's process was killed: the kernel, which would have marked the word at once
// (exit_robust_list), does not know our ids, so who waits for it does.
class OwnerWatch {
public:
    // True when the word was marked. At the second look that finds the owner's process gone: its last thread may have been in the
    // middle of an unlock.
    bool owner_died(u64 address) {
        u32 value;
        if (guest_load_u32((const u32*)address, &value)) return false;
        u32 owner = value & FUTEX_TID_MASK, before = gone_, seen;
        gone_ = tid_of_ended_process(owner) ? owner : 0;
        return gone_ && gone_ == before && !guest_cas_u32((u32*)address, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen) &&
               seen == value;
    }

private:
    u32 gone_ = 0;
};

// A libc that waits for a robust lock has told so on its list, and the word is that of a thread of ours.
bool waits_for_robust_lock(const Coroutine* c, u64 address, u32 op, u32 value) {
    u32 owner = value & FUTEX_TID_MASK;
    if (!c->robust_head || is_private(op) || !(value & FUTEX_WAITERS) || owner < kFirstThreadId || owner >= kThreadIdEnd) return false;
    struct {
        u64 next;
        i64 offset;
        u64 pending;
    } head;
    if (copy_from_guest(&head, (void*)c->robust_head, sizeof head)) return false;
    return head.pending && (head.pending & ~1ul) + u64(head.offset) == address;
}

// FUTEX_WAIT, FUTEX_WAIT_BITSET for such a lock: as ever, with a look at the owner each time that nothing has come for a while.
long wait_for_robust_lock(Call& call, u32 bitset, u64 deadline) {
    constexpr u64 kPatienceNs = 20000000;
    const bool relative = (call.a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
    const u64 address = call.a[0];
    Coroutine* c = call.c;
    OwnerWatch watch;
    for (;;) {
        const u64 now = now_ns(), until = deadline > now + kPatienceNs ? now + kPatienceNs : deadline;
        const timespec limit{time_t(until / kSecond), long(until % kSecond)};
        Call slice = call;
        slice.a[1] = FUTEX_WAIT_BITSET;
        slice.a[3] = u64(&limit);
        slice.a[5] = bitset;
        long r;
        if (g_multi) {
            r = wait_in_kernel(slice, ring_futex_wait(address, u32(call.a[2]), bitset, u32(slice.a[1])), until, false);
        } else {
            r = oc_syscall_intr(__NR_futex, long(address), FUTEX_WAIT_BITSET, long(call.a[2]), long(&limit), 0, long(bitset));
            if (r == -EINTR) {
                attend();
                if (!signal_pending(c)) continue;
                r = kRestartRestartBlock;
            }
        }
        if (r == kRestartRestartBlock) {
            if (deadline == kNever) return kRestartSys;
            if (relative) c->restart_deadline_ns = deadline;
            return r;
        }
        if (r != -ETIMEDOUT || until == deadline) return r;
        if (watch.owner_died(address)) return 0;
    }
}

// FUTEX_LOCK_PI, FUTEX_LOCK_PI2 of a lone thread: the kernel's, but for words that a threaded process of the tree holds.
long lock_pi_alone(Call& call) {
    u64 deadline = kNever;
    OwnerWatch watch;
    for (;;) {
        u32 owner = owner_of(call.a[0]);
        long r = blocking_native(call, kRestartSys);
        if (r != -ESRCH || owner_is_dead(call.a[0], owner)) return r;
        if (!owner_of(call.a[0]) || watch.owner_died(call.a[0])) continue;
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

// FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, futex_requeue(2) of words that are not the kernel's.
static long requeue(const Call& call, u64 from, u32 from_op, u32 wake_count, u64 to, u32 to_op, u32 move_count, bool compare, u32 expected) {
    if (i32(wake_count) < 0 || i32(move_count) < 0) return -EINVAL;
    long r = futex_requeue(from, wake_count, to, move_count, compare, expected);
    if (r == kFutexInKernel) return native(call);
    if (r > 0 || (is_private(from_op & to_op) && !((from | to) >> kAddressBits))) return r;
    if (long bad = check_place(from, from_op)) return bad;
    if (long bad = check_place(to, to_op)) return bad;
    return r;
}

// Time limit and bits of FUTEX_WAIT and FUTEX_WAIT_BITSET: 0 or -errno.
static long read_wait(const Call& call, u64* deadline, u32* bitset) {
    const bool plain = (call.a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
    *deadline = kNever;
    if (call.a[3]) {
        Timespec64 t;
        if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
        if (!valid(t)) return -EINVAL;
        if (plain)
            *deadline = call.c->restart_deadline_ns ? call.c->restart_deadline_ns : now_or_later_ns() + to_ns(t);
        else
            *deadline = absolute_deadline(t, call.a[1] & FUTEX_CLOCK_REALTIME);
    }
    *bitset = plain ? ~0u : u32(call.a[5]);
    return *bitset ? 0 : -EINVAL;
}

static long any_futex(Call& call);

// The rest of FUTEX_WAIT and FUTEX_WAIT_BITSET without a stack.
static long behind_wait(Coroutine* c) {
    long r = futex_wait_result(c);
    if (r != -EINTR) return r;
    return !signal_pending(c) ? kCallAgain : c->regs.r10 ? kRestartRestartBlock : kRestartSys;
}

[[gnu::always_inline]] static inline long begin_wait(Call& call, u32 bitset, u64 deadline) {
    long r = futex_begin_wait(call.c, call.a[0], u32(call.a[2]), bitset, deadline, behind_wait);
    if (__builtin_expect(r == kFutexInKernel, 0)) return any_futex(call);
    return r == 0 ? kParks : r;
}

static long any_futex(Call& call) {
    Coroutine* c = call.c;
    u32 op = u32(call.a[1]);
    u32 command = op & FUTEX_CMD_MASK;
    bool realtime = op & FUTEX_CLOCK_REALTIME;
    u64 address = call.a[0];
    u32 value = u32(call.a[2]);
    bool timed_wait = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
    u64 deadline = kNever;
    u32 bitset;

    // A lone coroutine cannot be woken by anything in its own process: the kernel waits best, and knows every rule.
    if (!g_multi) {
        if (command == FUTEX_TRYLOCK_PI) {
            u32 owner = owner_of(address);
            long r = native(call);
            return r == -ESRCH && !owner_is_dead(address, owner) ? -EAGAIN : r;
        }
        if (!timed_wait && command != FUTEX_LOCK_PI && command != FUTEX_LOCK_PI2 && command != FUTEX_WAIT_REQUEUE_PI) return native(call);
        if (timed_wait && !(realtime && command == FUTEX_WAIT) && waits_for_robust_lock(c, address, op, value)) {
            if (long r = read_wait(call, &deadline, &bitset)) return r;
            return wait_for_robust_lock(call, bitset, deadline);
        }
        if (command == FUTEX_WAIT && call.a[3]) {
            // Relative: a repeat after a signal without effect must not start over.
            Timespec64 t;
            if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
            if (!valid(t)) return -EINVAL;
            deadline = c->restart_deadline_ns ? c->restart_deadline_ns : now_or_later_ns() + to_ns(t);
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
            if (long r = read_wait(call, &deadline, &bitset)) return r;
            if (futex_in_kernel(address, op) && waits_for_robust_lock(c, address, op, value)) return wait_for_robust_lock(call, bitset, deadline);
            if (futex_in_kernel(address, op))
                return wait_in_kernel(call, ring_futex_wait(address, value, bitset, op), deadline, command == FUTEX_WAIT);
            if (!is_private(op))
                if (long r = check_place(address, op)) return r;
            if (c->leaves_stack) {
                if (command == FUTEX_WAIT && deadline != kNever) c->restart_deadline_ns = deadline;
                return begin_wait(call, bitset, deadline);
            }
            for (;;) {
                long r = futex_wait(c, address, value, bitset, deadline);
                if (r == kFutexInKernel) return any_futex(call);
                if (r != -EINTR) return r;
                if (!signal_pending(c)) continue;
                if (deadline == kNever) return kRestartSys;
                if (command == FUTEX_WAIT) c->restart_deadline_ns = deadline;
                return kRestartRestartBlock;
            }
        }
        case FUTEX_WAKE:
        case FUTEX_WAKE_BITSET: {
            if (futex_in_kernel(address, op)) return native(call);
            u32 asked = wakes(value);
            long r = futex_wake(address, asked, command == FUTEX_WAKE ? ~0u : u32(call.a[5]));
            return __builtin_expect(r == asked, 1) ? r : woke_fewer(call, op, asked, r);
        }
        case FUTEX_REQUEUE:
        case FUTEX_CMP_REQUEUE:
            if (futex_in_kernel(address, op)) return native(call);
            return requeue(call, address, op, value, call.a[4], op, u32(call.a[3]), command == FUTEX_CMP_REQUEUE, u32(call.a[5]));
        case FUTEX_WAKE_OP:
            if (futex_in_kernel(address, op)) return native(call);
            if (long r = check_places(address, call.a[4], op)) return r;
            {
                long r = futex_wake_op(address, wakes(value), call.a[4], wakes(u32(call.a[3])), u32(call.a[5]), op & FUTEX_PRIVATE_FLAG);
                return r == kFutexInKernel ? native(call) : r;
            }
        case FUTEX_LOCK_PI:
        case FUTEX_LOCK_PI2: {
            bool shared = futex_is_shared(address, op);
            if (call.a[3]) {
                Timespec64 t;
                if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
                if (!valid(t)) return -EINVAL;
                deadline = absolute_deadline(t, command == FUTEX_LOCK_PI || realtime);
            }
            // glibc takes any error for success, so refusing is worse.
            OwnerWatch watch;
            for (;;) {
                u64 now = now_ns(), until = shared && deadline > now + kLookAgainNs ? now + kLookAgainNs : deadline;
                long r = futex_lock_pi(c, address, until);
                if (r == -EINTR) return kRestartNoIntr;
                if (!shared || (r != -ESRCH && r != -ETIMEDOUT)) return r;
                if (deadline <= now) return -ETIMEDOUT;
                if (r == -ETIMEDOUT || watch.owner_died(address)) continue;
                wait_begin(c, true);
                wait_park(c, until, kWaitsForWord, address);
                if (signal_pending(c)) return kRestartNoIntr;
            }
        }
        case FUTEX_TRYLOCK_PI: {
            u32 owner = owner_of(address);
            long r = futex_trylock_pi(c, address);
            return r == -ESRCH && futex_is_shared(address, op) && !owner_is_dead(address, owner) ? -EAGAIN : r;
        }
        case FUTEX_WAIT_REQUEUE_PI: {
            if (call.a[3]) {
                Timespec64 t;
                if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
                if (!valid(t)) return -EINVAL;
                deadline = absolute_deadline(t, realtime);
            }
            if (address == call.a[4]) return -EINVAL;
            if (long r = check_writable(call.a[4], op)) return r;
            if (long r = check_place(address, op)) return r;
            if (futex_is_shared(address, op)) return -ENOSYS;
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
            if (value != 1 || i32(call.a[3]) < 0 || address == call.a[4]) return -EINVAL;
            if (long r = check_place(address, op)) return r;
            if (long r = check_writable(call.a[4], op)) return r;
            if (futex_is_shared(address, op)) return -ENOSYS;
            return futex_requeue_pi(address, call.a[4], u32(call.a[3]), u32(call.a[5]));
        case FUTEX_UNLOCK_PI:
            return futex_unlock_pi(c, address);
        default:
            return command <= FUTEX_LOCK_PI2 ? -ENOSYS : native(call);
    }
}


// What locks and conditions do all day goes straight to the table; any_futex does the same and all else.
long h_futex(Call& call) {
    u32 op = u32(call.a[1]);
    if (!g_multi || !is_private(op) || futex_in_kernel(call.a[0], op)) return any_futex(call);
    u32 command = op & u32(FUTEX_CMD_MASK), value = u32(call.a[2]);
    if (op == FUTEX_WAKE_PRIVATE) {
        u32 asked = wakes(value);
        if (!only_worker()) futex_note_wake(call.c, call.a[0]);
        long r = futex_wake(call.a[0], asked, ~0u);
        return __builtin_expect(r == asked, 1) ? r : woke_fewer(call, op, asked, r);
    }
    bool any_bit = command == FUTEX_WAIT || (command == FUTEX_WAIT_BITSET && u32(call.a[5]) == ~0u);
    if (!any_bit || call.a[3] || (op & FUTEX_CLOCK_REALTIME && command == FUTEX_WAIT)) return any_futex(call);
    if (call.c->leaves_stack) return begin_wait(call, ~0u, kNever);
    long r = futex_wait(call.c, call.a[0], value, ~0u, kNever);
    if (r == 0 || r == -EAGAIN) return r;
    if (r == -EINTR && signal_pending(call.c)) return kRestartSys;
    return r == -EINTR || r == kFutexInKernel ? any_futex(call) : r;
}

namespace {

struct WaitEntry {  // struct futex_waitv
    u64 value, address;
    u32 flags, reserved;
};

// What FUTEX2_VALID_MASK and futex_flags_valid let through (kernel/futex/futex.h). Words with FUTEX2_NUMA or FUTEX2_MPOL (Linux 6.16) are
// the kernel's: it does not take them for those without.
constexpr u32 kNuma = 0x04, kMpol = 0x08;
bool has_known_flags(u32 flags) { return (flags & ~(FUTEX_PRIVATE_FLAG | kNuma | kMpol)) == FUTEX2_SIZE_U32; }
bool is_plain_word(u32 flags) { return (flags & ~u32(FUTEX_PRIVATE_FLAG)) == FUTEX2_SIZE_U32; }

// futex_parse_waitv: 0 or -errno. *plain: no word is of another kind than futex(2) has.
long read_entries(u64 from, u32 n, WaitEntry* entries, bool* plain) {
    *plain = true;
    for (u32 i = 0; i < n; i++) {
        WaitEntry& e = entries[i];
        if (get_guest(&e, (void*)(from + i * sizeof e))) return -EFAULT;
        if (e.reserved || !has_known_flags(e.flags) || e.value >> 32) return -EINVAL;
        *plain &= is_plain_word(e.flags);
    }
    return 0;
}

// A point of a clock in a monotonic deadline: 0 or -errno.
long read_deadline(u64 guest, i32 clock, u64* deadline) {
    *deadline = kNever;
    if (!guest) return 0;
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME) return -EINVAL;
    Timespec64 t;
    if (get_guest(&t, (void*)guest)) return -EFAULT;
    if (!valid(t)) return -EINVAL;
    *deadline = absolute_deadline(t, clock == CLOCK_REALTIME);
    return 0;
}

// futex_wake and its like came with Linux 6.7: callers fall back to futex(2).
bool kernel_has_futex2() {
    static std::atomic<u8> known{0};
    u8 has = known.load(std::memory_order_relaxed);
    if (!has) {
        has = sys(__NR_futex_wake, 0, 0, 0, ~0u) == -ENOSYS ? 1 : 2;
        known.store(has, std::memory_order_relaxed);
    }
    return has == 2;
}

}  // namespace

long h_futex_waitv(Call& call) {
    if (!g_multi) return blocking_native(call, kRestartSys);
    u32 n = u32(call.a[1]);
    if (u32(call.a[2]) || !n || n > FUTEX_WAITV_MAX || !call.a[0]) return -EINVAL;
    u64 deadline;
    if (long r = read_deadline(call.a[3], i32(call.a[4]), &deadline)) return r;
    WaitEntry entries[FUTEX_WAITV_MAX];
    bool plain;
    if (long r = read_entries(call.a[0], n, entries, &plain)) return r;
    FutexWaitV words[FUTEX_WAITV_MAX];
    bool in_kernel = false;
    for (u32 i = 0; i < n && plain; i++) {
        in_kernel |= futex_in_kernel(entries[i].address, entries[i].flags & FUTEX_PRIVATE_FLAG);
        words[i] = {entries[i].address, u32(entries[i].value)};
    }
    if (!plain || in_kernel) return wait_in_kernel(call, ring_futex_waitv(call.a[0], n), deadline, false);
    for (u32 i = 0; i < n; i++)
        if (long r = check_place(entries[i].address, entries[i].flags)) return r;
    long r = futex_wait_many(call.c, words, n, deadline);
    if (r == kFutexInKernel) return h_futex_waitv(call);
    return r == -EINTR ? kRestartSys : r;
}

long h_futex_wake(Call& call) {
    u32 flags = u32(call.a[3]);
    if (!g_multi || !is_plain_word(flags) || !kernel_has_futex2() || futex_in_kernel(call.a[0], flags)) return native(call);
    if (call.a[1] >> 32 || !call.a[1]) return -EINVAL;
    u32 asked = u32(call.a[2]);
    if (!asked) return check_places(call.a[0], call.a[0], flags);  // here none means none
    asked = wakes(asked);
    long r = futex_wake(call.a[0], asked, u32(call.a[1]));
    return r == asked ? r : woke_fewer(call, flags, asked, r);
}

long h_futex_wait(Call& call) {
    if (!g_multi || !kernel_has_futex2()) return blocking_native(call, kRestartSys);
    u64 address = call.a[0];
    u32 flags = u32(call.a[3]);
    bool plain = is_plain_word(flags);
    if (!has_known_flags(flags) || call.a[1] >> 32 || call.a[2] >> 32) return -EINVAL;
    u64 deadline;
    if (long r = read_deadline(call.a[4], i32(call.a[5]), &deadline)) return r;
    if (!call.a[2]) return -EINVAL;
    if (!plain || futex_in_kernel(address, flags)) {
        RingOp op = plain ? ring_futex_wait(address, u32(call.a[1]), u32(call.a[2]), flags) : RingOp{};
        long r = wait_in_kernel(call, op, deadline, false);
        return r == kRestartRestartBlock ? kRestartSys : r;
    }
    if (long r = check_place(address, flags)) return r;
    for (;;) {
        long r = futex_wait(call.c, address, u32(call.a[1]), u32(call.a[2]), deadline);
        if (r == kFutexInKernel) return h_futex_wait(call);
        if (r != -EINTR) return r;
        if (signal_pending(call.c)) return kRestartSys;
    }
}

long h_futex_requeue(Call& call) {
    if (!g_multi || !kernel_has_futex2()) return native(call);
    if (u32(call.a[1]) || !call.a[0]) return -EINVAL;
    WaitEntry entries[2];
    bool plain;
    if (long r = read_entries(call.a[0], 2, entries, &plain)) return r;
    const WaitEntry &from = entries[0], &to = entries[1];
    if (!plain || futex_in_kernel(from.address, from.flags)) return native(call);
    if (from.flags != to.flags)
        if (long r = native(call); is_error(r) && r != -EAGAIN) return r;
    return requeue(call, from.address, from.flags, u32(call.a[2]), to.address, to.flags, u32(call.a[3]), true, u32(from.value));
}

}  // namespace ocrun
