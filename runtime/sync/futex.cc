// futex.cc - the table of private futexes (see futex.h)
#include "runtime/sync/futex.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "runtime/base/mappings.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/monitor.h"
#include "runtime/sync/futex_table.h"

namespace ocrun {

OC_APART constinit Bucket g_small_table[1u << kSmallBits];
constinit Table g_table{g_small_table};
std::atomic<u64> g_groups_used[1u << (kLargeBits - kGroupBits) >> 6];
std::atomic<bool> g_in_kernel{false};

namespace {

// All words that may lie in one object of 24 bytes are apart.
consteval bool neighbours_are_apart() {
    for (u64 word = 0; word < 0x2000; word += 4)
        for (u64 other = word + 4; other < word + 24; other += 4)
            if (place_of(word, kSmallBits) == place_of(other, kSmallBits)) return false;
    return true;
}
static_assert(neighbours_are_apart());

std::atomic<bool> g_shared_seen{false};
std::atomic<u32> g_moved{0};           // all that waited then were woken
std::atomic<Bucket*> g_moving{nullptr};  // whose lock is held for that, perhaps

// Calls `look` for each bucket of each group in use.
template <class F>
void each_used_bucket(F look) {
    Bucket* table = g_table.buckets.load(std::memory_order_relaxed);
    for (std::atomic<u64>& word : g_groups_used)
        for (u64 left = word.load(std::memory_order_seq_cst); left; left &= left - 1) {
            u64 group = u64(&word - g_groups_used) * 64 + u64(__builtin_ctzl(left));
            for (u64 i = 0; i < 1u << kGroupBits; i++) look(table[group << kGroupBits | i]);
        }
}

bool memory_is_limited() {
    for (int which : {RLIMIT_AS, RLIMIT_DATA}) {
        rlimit limit;
        if (sys(__NR_prlimit64, 0, which, nullptr, &limit) || limit.rlim_cur != RLIM_INFINITY) return true;
    }
    return false;
}

void forget_all_waiters() {
    each_used_bucket([](Bucket& b) {
        // (The monitor may have been in the middle of taking the last one off.)
        if (b.head || b.tail) b.head = b.tail = nullptr;
    });
}

// Bucket lock held. A waiter whose wait already ended otherwise is not counted; it takes itself off. -EINVAL where one waits as for a PI
// lock: what ends that wait makes it the owner.
long wake_some(Bucket* b, u64 address, u32 count, u32 bitset) {
    u32 woken = 0;
    for (Waiter *w = b->head, *next; w && woken < count; w = next) {
        next = w->next;
        if (w->address != address) continue;
        if (w->is_pi || w->pi_target) return -EINVAL;
        if (!(w->bitset & bitset)) continue;
        // Off the queue before the wake: afterwards the waiter's stack may be gone.
        Coroutine* c = w->c;
        u64 token = w->token;
        w->woken = true;
        unqueue(w);
        if (wake_by_worker(c, token, WakeReason::woken)) woken++;
    }
    return woken;
}

}  // namespace

void futexes_expect_threads() {
    if (g_table.buckets.load(std::memory_order_relaxed) != g_small_table || memory_is_limited()) return;
    constexpr size_t kBytes = sizeof(Bucket) << kLargeBits;
    long r = sys(__NR_mmap, nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(r)) return;
    if (sys(__NR_madvise, r, kBytes, MADV_WIPEONFORK)) {
        sys(__NR_munmap, r, kBytes);
        return;
    }
    sys(__NR_madvise, r, kBytes, MADV_NOHUGEPAGE);
    // Nobody waits yet: a lone thread waits in the kernel.
    g_table.buckets.store((Bucket*)r, std::memory_order_seq_cst);
}

void futex_after_fork() {
    // The world stood still at the fork, so no lock was held but perhaps one by the monitor (futexes_to_kernel); only buckets in use
    // are worth a look and a write. The large table is empty in a child (MADV_WIPEONFORK).
    Bucket* moving = g_moving.exchange(nullptr, std::memory_order_relaxed);
    if (g_table.buckets.load(std::memory_order_relaxed) == g_small_table) {
        if (moving) moving->lock.reset();
        forget_all_waiters();
    }
    for (std::atomic<u64>& word : g_groups_used) word.store(0, std::memory_order_relaxed);
    g_in_kernel.store(false, std::memory_order_relaxed);
    g_moved.store(0, std::memory_order_relaxed);
}

void futexes_to_kernel() {
    if (g_in_kernel.exchange(true, std::memory_order_seq_cst)) return;
    // Whoever queues does so under the lock of a bucket, behind a look at g_in_kernel there. (The only worker, which takes none of them,
    // calls this itself or is in the kernel, behind its vfork child.)
    each_used_bucket([](Bucket& b) {
        g_moving.store(&b, std::memory_order_seq_cst);
        Locked held(b.lock);
        for (Waiter *w = b.head, *next; w; w = next) {
            next = w->next;
            if (w->pi_target || w->is_pi) continue;
            Coroutine* c = w->c;
            u64 token = w->token;
            w->woken = true;
            unqueue(w);
            wake(c, token, WakeReason::woken);
        }
    });
    g_moving.store(nullptr, std::memory_order_seq_cst);
    g_moved.store(1, std::memory_order_seq_cst);
    sys(__NR_futex, &g_moved, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

void futexes_meet_child(u64 address, bool only_wakes) {
    if (only_wakes && !g_in_kernel.load(std::memory_order_relaxed)) {
        // Who locks the bucket after this has seen it unlocked sees what the child wrote to the word.
        Bucket* b = bucket_of(address);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        while (b->lock.is_held()) __builtin_ia32_pause();
        if (!__atomic_load_n(&b->head, __ATOMIC_ACQUIRE)) return;
    }
    const timespec patience{0, 1000000};
    while (!g_moved.load(std::memory_order_seq_cst) && monitor_run(futexes_to_kernel))
        sys(__NR_futex, &g_moved, FUTEX_WAIT_PRIVATE, 0, &patience);
}

void futex_note_shared() { g_shared_seen.store(true, std::memory_order_relaxed); }

bool futex_is_shared(u64 address, u32 op) {
    if (op & FUTEX_PRIVATE_FLAG) return false;
    if (!g_shared_seen.load(std::memory_order_relaxed)) return false;
    return mapping_is_shared(address);
}

bool futex_in_kernel(u64 address, u32 op) {
    return g_in_kernel.load(std::memory_order_relaxed) || futex_is_shared(address, op);
}

// A lock that it waits for again without having made another call than that which woke the next one is fought for. Its word says
// "taken, and somebody waits", the same each time; of semaphores the word is 0, of conditions another one.
static void look_for_a_fight(Coroutine* c, u64 address, u32 expected) {
    if (expected && c->futex_at == address && c->futex_expected == expected && c->futex_calls + 1 == c->calls)
        this_thread()->fought_for = address;
    c->futex_at = address;
    c->futex_expected = expected;
    c->futex_calls = c->calls;
}

// Begins a wait in w: 0, or why it is over already.
[[gnu::always_inline]] static inline long queue_for(Waiter* w, Coroutine* c, u64 address, u32 expected, u32 bitset, bool interruptible, const char* what) {
    if (!bitset) return -EINVAL;
    if (address & 3) return -EINVAL;
    w->bucket = nullptr;
    w->woken = w->is_pi = false;
    w->pi_target = 0;
    w->address = address;
    w->bitset = bitset;
    w->c = c;
    w->token = wait_begin(c, interruptible);
    long early = queue_if_unchanged(bucket_of(address), w, expected, interruptible);
    if (early) {
        wake(c, w->token, WakeReason::woken);
        wait_park(c, kNever, what, address);
        return early;
    }
    if (!only_worker()) look_for_a_fight(c, address, expected);
    return 0;
}

static inline long result_of(WakeReason why) {
    if (why == WakeReason::timeout) return -ETIMEDOUT;
    return why == WakeReason::woken ? 0 : -EINTR;
}

static long wait_on(Coroutine* c, u64 address, u32 expected, u32 bitset, u64 deadline_ns, bool interruptible, const char* what) {
    Waiter w;
    if (long early = queue_for(&w, c, address, expected, bitset, interruptible, what)) return early;
    WakeReason why = wait_park(c, deadline_ns, what, address);
    unqueue_own(&w);
    return result_of(why);
}

long futex_begin_wait(Coroutine* c, u64 address, u32 expected, u32 bitset, u64 deadline_ns, long (*resume)(Coroutine*)) {
    if (long early = queue_for(&c->futex, c, address, expected, bitset, true, kWaitsForWord)) return early;
    wait_prepare(c, deadline_ns, kWaitsForWord, address, resume);
    return 0;
}

long futex_wait_result(Coroutine* c) {
    WakeReason why = wait_ended(c);
    unqueue_own(&c->futex);
    return result_of(why);
}

long futex_wait(Coroutine* c, u64 address, u32 expected, u32 bitset, u64 deadline_ns) {
    return wait_on(c, address, expected, bitset, deadline_ns, true, kWaitsForWord);
}

ParkingLock::ParkingLock(Coroutine* c, u32* word, const char* what) : word_(word) {
    u32 free = 0;
    if (!word_ || __atomic_compare_exchange_n(word_, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    while (__atomic_exchange_n(word_, 2, __ATOMIC_ACQUIRE)) wait_on(c, u64(word_), 2, ~0u, kNever, false, what);
}

ParkingLock::~ParkingLock() {
    if (word_ && __atomic_exchange_n(word_, 0, __ATOMIC_RELEASE) == 2) futex_wake(u64(word_), 1, ~0u);
}

long futex_wake(u64 address, u32 count, u32 bitset) {
    if (!bitset || (address & 3)) return -EINVAL;
    Bucket* b = bucket_of(address);
    // Always under the lock: a waiter looks at the word before it queues, both under it, so an empty queue seen without it
    // would say nothing about a waiter in between.
    LockedBucket held(b);
    return wake_some(b, address, count, bitset);
}

long futex_requeue(u64 from, u32 wake_count, u64 to, u32 move_count, bool compare, u32 expected) {
    if ((from | to) & 3) return -EINVAL;
    Bucket *a = bucket_of(from), *b = bucket_of(to);
    LockPair held(a, b);
    note_use(b);
    if (compare) {
        u32 value;
        if (guest_load_u32((const u32*)from, &value)) return -EFAULT;
        if (value != expected) return -EAGAIN;
    }
    if (__builtin_expect(g_in_kernel.load(std::memory_order_seq_cst), 0)) return kFutexInKernel;
    long woken = wake_some(a, from, wake_count, ~0u);
    if (woken < 0) return woken;
    u32 moved = 0;
    for (Waiter *w = a->head, *next; w && moved < move_count; w = next) {
        next = w->next;
        if (w->address != from) continue;
        if (w->is_pi || w->pi_target) return -EINVAL;
        w->address = to;
        moved++;
        if (a == b) continue;
        // Never seen without a bucket: its owner, timing out right now, must wait for the move (unqueue_own).
        detach(w);
        queue(b, w);
    }
    return woken + moved;
}

namespace {

// Applies FUTEX_WAKE_OP's operation; the old value in *old. 0 or -errno.
long apply_op(u64 address, u32 encoded, u32* old) {
    u32 op = (encoded >> 28) & 7;
    i32 argument = i32(encoded << 8) >> 20;
    if ((encoded >> 28) & 8) argument = i32(1u << (argument & 31));
    u32 value;
    if (guest_load_u32((const u32*)address, &value)) return -EFAULT;
    for (;;) {
        u32 fresh;
        switch (op) {
            case FUTEX_OP_SET: fresh = u32(argument); break;
            case FUTEX_OP_ADD: fresh = value + u32(argument); break;
            case FUTEX_OP_OR: fresh = value | u32(argument); break;
            case FUTEX_OP_ANDN: fresh = value & ~u32(argument); break;
            case FUTEX_OP_XOR: fresh = value ^ u32(argument); break;
            default: return -ENOSYS;
        }
        u32 seen;
        if (guest_cas_u32((u32*)address, value, fresh, &seen)) return -EFAULT;
        if (seen == value) break;
        value = seen;
    }
    *old = value;
    return 0;
}

long compare_old(u32 encoded, u32 old) {
    i32 argument = i32(encoded << 20) >> 20, value = i32(old);
    switch ((encoded >> 24) & 15) {
        case FUTEX_OP_CMP_EQ: return value == argument;
        case FUTEX_OP_CMP_NE: return value != argument;
        case FUTEX_OP_CMP_LT: return value < argument;
        case FUTEX_OP_CMP_LE: return value <= argument;
        case FUTEX_OP_CMP_GT: return value > argument;
        case FUTEX_OP_CMP_GE: return value >= argument;
    }
    return -ENOSYS;
}

}  // namespace

long futex_wake_op(u64 first, u32 count, u64 second, u32 count2, u32 encoded, u32 private_flag) {
    if ((first | second) & 3) return -EINVAL;
    long woken, woken2 = 0, holds;
    {
        LockPair held(bucket_of(first), bucket_of(second));
        if (__builtin_expect(g_in_kernel.load(std::memory_order_relaxed), 0)) return kFutexInKernel;
        u32 old;
        long r = apply_op(second, encoded, &old);
        if (r) return r;
        holds = compare_old(encoded, old);
        if (holds < 0) return holds;
        woken = wake_some(bucket_of(first), first, count, ~0u);
        if (woken >= 0 && holds) woken2 = wake_some(bucket_of(second), second, count2, ~0u);
        if (woken < 0 || woken2 < 0) return -EINVAL;
    }
    // Where the words became the kernel's just now one may wait there who has not seen the change.
    if (__builtin_expect(g_in_kernel.load(std::memory_order_seq_cst), 0)) {
        long more = u32(woken) < count ? sys(__NR_futex, first, FUTEX_WAKE | private_flag, count - u32(woken)) : 0;
        long more2 = holds && u32(woken2) < count2 ? sys(__NR_futex, second, FUTEX_WAKE | private_flag, count2 - u32(woken2)) : 0;
        woken += (more > 0 ? more : 0) + (more2 > 0 ? more2 : 0);
    }
    return woken + woken2;
}

long futex_wait_many(Coroutine* c, const FutexWaitV* words, u32 n, u64 deadline_ns) {
    constexpr u32 kMost = 128;  // FUTEX_WAITV_MAX
    if (!n || n > kMost) return -EINVAL;
    Waiter w[kMost];
    u64 token = wait_begin(c, true);
    long early = 0;
    u32 queued = 0;
    for (; queued < n && !early; queued++) {
        Waiter& x = w[queued];
        x = Waiter{};
        x.address = words[queued].address;
        x.bitset = ~0u;
        x.c = c;
        x.token = token;
        if (x.address & 3) {
            early = -EINVAL;
            break;
        }
        early = queue_if_unchanged(bucket_of(x.address), &x, words[queued].expected, true);
    }
    if (early) wake(c, token, WakeReason::woken);
    WakeReason why = wait_park(c, deadline_ns, kWaitsForWord, words[0].address);
    long woken = -1;
    for (u32 i = 0; i < queued; i++) {
        unqueue_own(&w[i]);
        if (w[i].woken) woken = i;
    }
    if (woken >= 0 && why == WakeReason::woken) return woken;
    if (early) return early;
    return why == WakeReason::timeout ? -ETIMEDOUT : -EINTR;
}

}  // namespace ocrun
