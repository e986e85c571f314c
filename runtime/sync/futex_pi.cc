// futex_pi.cc - priority-inheritance words of private memory (see futex.h)
#include <linux/futex.h>

#include "runtime/context/coroutine.h"
#include "runtime/sync/futex_table.h"

namespace ocrun {
namespace {

// Takes the word if it is free, or says why not: 0, -EAGAIN (owned by a live thread), -EDEADLK, -ESRCH, -EFAULT.
// `claim_waiters`: mark the word as waited for, so that the owner comes here to unlock. Bucket lock held.
long try_own(Coroutine* c, u64 address, bool claim_waiters) {
    u32 value;
    if (guest_load_u32((const u32*)address, &value)) return -EFAULT;
    for (;;) {
        u32 owner = value & FUTEX_TID_MASK, fresh;
        if (owner == c->tid) return -EDEADLK;
        if (owner == 0) {
            fresh = c->tid | (value & (FUTEX_OWNER_DIED | FUTEX_WAITERS));
        } else {
            {
                Locked walk(g_registry_lock);
                if (!registry_find(owner)) return -ESRCH;
            }
            if (!claim_waiters) return -EAGAIN;
            fresh = value | FUTEX_WAITERS;
        }
        u32 seen;
        if (guest_cas_u32((u32*)address, value, fresh, &seen)) return -EFAULT;
        if (seen == value) return owner == 0 ? 0 : -EAGAIN;
        value = seen;
    }
}

// The word goes to the longest waiter whose wait is still on, or becomes free. Bucket lock held.
long hand_over(Bucket* b, u64 address, u32 extra) {
    for (Waiter *w = b->head, *next; w; w = next) {
        next = w->next;
        if (w->address != address) continue;
        bool more = false;
        for (Waiter* x = next; x; x = x->next) more |= x->address == address;
        Coroutine* c = w->c;
        u64 token = w->token;
        u32 word = c->tid | (more ? FUTEX_WAITERS : 0) | extra;
        // The word first: the woken coroutine may run at once. If its wait had ended otherwise the next one overwrites it.
        if (put_guest((void*)address, word)) return -EFAULT;
        w->woken = true;
        unqueue(w);
        if (wake(c, token, WakeReason::woken)) return 0;
    }
    return put_guest((void*)address, extra) ? -EFAULT : 0;
}

// For one that gave up: the word may hold its id for as long as a hand_over in progress takes to see that.
void hand_over_ended(Bucket* b) { LockedBucket held(b); }

}  // namespace

long futex_lock_pi(Coroutine* c, u64 address, u64 deadline_ns) {
    if (address & 3) return -EINVAL;
    Bucket* b = bucket_of(address);
    Waiter w{};
    w.address = address;
    w.bitset = ~0u;
    w.is_pi = true;
    w.c = c;
    w.token = wait_begin(c, true);
    long r;
    {
        LockedBucket held(b);
        r = try_own(c, address, true);
        if (r == -EAGAIN) note_use(b), queue(b, &w);
    }
    if (r != -EAGAIN) wake(c, w.token, WakeReason::woken);
    WakeReason why = wait_park(c, deadline_ns, kWaitsForWord, address);
    if (r != -EAGAIN) return r;
    unqueue_own(&w);
    if (why == WakeReason::woken) return 0;  // hand_over wrote our tid
    hand_over_ended(b);
    return why == WakeReason::timeout ? -ETIMEDOUT : -EINTR;
}

long futex_trylock_pi(Coroutine* c, u64 address) {
    if (address & 3) return -EINVAL;
    LockedBucket held(bucket_of(address));
    return try_own(c, address, false);
}

long futex_unlock_pi(Coroutine* c, u64 address) {
    Bucket* b = bucket_of(address);
    LockedBucket held(b);
    u32 value;
    if (guest_load_u32((const u32*)address, &value)) return -EFAULT;
    if ((value & FUTEX_TID_MASK) != c->tid) return -EPERM;
    if (address & 3) return -EINVAL;
    return hand_over(b, address, 0);
}

long futex_wait_requeue_pi(Coroutine* c, u64 address, u32 expected, u64 target, u64 deadline_ns, bool* moved) {
    if (((address | target) & 3) || address == target) return -EINVAL;
    Waiter w{};
    w.address = address;
    w.bitset = ~0u;
    w.pi_target = target;
    w.c = c;
    w.token = wait_begin(c, true);
    long early = queue_if_unchanged(bucket_of(address), &w, expected, false);
    if (early) wake(c, w.token, WakeReason::woken);
    WakeReason why = wait_park(c, deadline_ns, kWaitsForWord, address);
    if (early) return early;
    unqueue_own(&w);
    *moved = w.address == target;
    if (why == WakeReason::woken) return 0;  // the word holds our tid
    if (*moved) hand_over_ended(bucket_of(target));
    return why == WakeReason::timeout ? -ETIMEDOUT : -EINTR;
}

long futex_requeue_pi(u64 from, u64 to, u32 move_count, u32 expected) {
    if (((from | to) & 3) || from == to) return -EINVAL;
    Bucket *a = bucket_of(from), *b = bucket_of(to);
    LockPair held(a, b);
    u32 value;
    if (guest_load_u32((const u32*)from, &value)) return -EFAULT;
    if (value != expected) return -EAGAIN;
    if (guest_load_u32((const u32*)to, &value)) return -EFAULT;
    long done = 0;
    for (Waiter *w = a->head, *next; w && done < i64(move_count) + 1; w = next) {
        next = w->next;
        if (w->address != from) continue;
        if (w->pi_target != to) return done ? done : -EINVAL;
        long r = try_own(w->c, to, true);
        if (r && r != -EAGAIN) return done ? done : r;
        w->address = to;
        if (r) {
            if (a != b) note_use(b), detach(w), queue(b, w);
            done++;
            continue;
        }
        Coroutine* c = w->c;
        u64 token = w->token;
        w->woken = true;
        unqueue(w);
        if (wake(c, token, WakeReason::woken)) {
            done++;
            continue;
        }
        // It gave up a moment ago: the word goes to somebody else.
        if (long failed = hand_over(b, to, 0)) return failed;
        next = a->head;  // where a is b, the one that followed may be gone
    }
    return done;
}

bool futex_pi_owner_died(u64 address) {
    Bucket* b = bucket_of(address);
    LockedBucket held(b);
    return hand_over(b, address, FUTEX_OWNER_DIED) == 0;
}

}  // namespace ocrun
