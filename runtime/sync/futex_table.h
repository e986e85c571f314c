// futex_table.h - who waits for which private word: the table behind futex.h, for futex.cc and futex_pi.cc
#pragma once
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/sched/workers.h"
#include "runtime/sync/futex.h"

namespace ocrun {

struct Bucket {
    Lock lock;
    Waiter *head = nullptr, *tail = nullptr;
};

// A page of the guest has a group of buckets: neighbouring words have neighbouring ones, each its own (words of one object are waited
// for by many, pthread_rwlock_t's), and groups are turned by a number of the page's, so that equal places of pages do not meet.
constexpr u32 kGroupBits = 7;
// A process begins with the small table and has the other from its second thread on (futexes_expect_threads): so many that a hundred
// thousand waiters, each with a word of its own, hardly share a bucket. Each other one met on the way is a line from main memory.
constexpr u32 kSmallBits = 14, kLargeBits = 19;
extern Bucket g_small_table[1u << kSmallBits];
// Read by every call, written once: nothing that others write lies in its line.
struct alignas(64) Table {
    std::atomic<Bucket*> buckets;
};
extern Table g_table;
extern std::atomic<u64> g_groups_used[1u << (kLargeBits - kGroupBits) >> 6];
extern std::atomic<bool> g_in_kernel;  // futexes_to_kernel

inline constexpr u64 place_of(u64 address, u32 bits) {
    constexpr u32 kPageBits = 12, kLineBits = 5;
    u64 page = (address >> kPageBits) * 0x9e3779b97f4a7c15ul;
    u64 slot = ((address >> kLineBits) + (address >> 2 & 7) * 3 + (page >> 24)) & ((1u << kGroupBits) - 1);
    return page >> (64 - bits + kGroupBits) << kGroupBits | slot;
}
inline Bucket* bucket_of(u64 address) {
    Bucket* table = g_table.buckets.load(std::memory_order_relaxed);
    return &table[table == g_small_table ? place_of(address, kSmallBits) : place_of(address, kLargeBits)];
}

// Who is going to queue at b says so first, then looks at g_in_kernel: futexes_to_kernel and a fork's child look at no other groups.
inline void note_use(Bucket* b) {
    u64 group = u64(b - g_table.buckets.load(std::memory_order_relaxed)) >> kGroupBits, bit = 1ul << (group & 63);
    std::atomic<u64>& word = g_groups_used[group >> 6];
    if (!(word.load(std::memory_order_acquire) & bit)) word.fetch_or(bit, std::memory_order_seq_cst);
}

// The table is the workers': a sole one has nobody to exclude (it starts the second itself, never in here).
class LockedBucket {
public:
    explicit LockedBucket(Bucket* b) : lock_(only_worker() ? nullptr : &b->lock) {
        if (lock_) lock_->lock();
    }
    ~LockedBucket() {
        if (lock_) lock_->unlock();
    }
    LockedBucket(const LockedBucket&) = delete;
    LockedBucket& operator=(const LockedBucket&) = delete;

private:
    Lock* lock_;
};

// Behind note_use.
inline void queue(Bucket* b, Waiter* w) {
    w->bucket = b;
    w->next = nullptr;
    w->previous = b->tail;
    (b->tail ? b->tail->next : b->head) = w;
    b->tail = w;
}

inline void detach(Waiter* w) {
    Bucket* b = w->bucket;
    (w->previous ? w->previous->next : b->head) = w->next;
    (w->next ? w->next->previous : b->tail) = w->previous;
}

inline void unqueue(Waiter* w) {
    detach(w);
    __atomic_store_n(&w->bucket, nullptr, __ATOMIC_RELEASE);
}

// Queues w unless the word differs from `expected`: 0, -EAGAIN or -EFAULT; with `movable` also kFutexInKernel. Whoever changes the
// word and wakes does so after.
[[gnu::always_inline]] inline long queue_if_unchanged(Bucket* b, Waiter* w, u32 expected, bool movable) {
    LockedBucket held(b);
    note_use(b);
    u32 value;
    if (long r = guest_load_u32((const u32*)w->address, &value)) return r;
    if (value != expected) return -EAGAIN;
    if (__builtin_expect(g_in_kernel.load(std::memory_order_seq_cst), 0) && movable) return kFutexInKernel;
    queue(b, w);
    return 0;
}

// Takes w off whatever queue it is on, even while it is being moved.
inline void unqueue_own(Waiter* w) {
    for (;;) {
        Bucket* b = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
        if (!b) return;
        LockedBucket held(b);
        if (w->bucket == b) {
            unqueue(w);
            return;
        }
    }
}

struct LockPair {
    LockPair(Bucket* a, Bucket* b) : first(a < b ? a : b), second(a < b ? b : a) {
        first->lock.lock();
        if (second != first) second->lock.lock();
    }
    ~LockPair() {
        if (second != first) second->lock.unlock();
        first->lock.unlock();
    }
    Bucket *first, *second;
};

}  // namespace ocrun
