// futex.h - futexes of private memory in user space; shared memory goes to the kernel
//
// A word in private anonymous or private file memory can only be waited on by this process, so its waiters are kept here
// and a wake costs no system call. A word in a shared mapping belongs to the kernel's table, whoever waits (two tables
// would lose wakes). The PRIVATE flag decides at once; without it the mapping is asked for, and only in processes that
// ever mapped shared memory (futex_note_shared). From the first child on that shares the memory itself and runs beside its parent
// (CLONE_VM without CLONE_VFORK), all words but those of PI locks are the kernel's (futexes_to_kernel); so they are from the first call on
// by which a vfork child meets another thread of its parent. Follows futex(2), kernel/futex/.
#pragma once
#include "runtime/sched/scheduler.h"

namespace ocrun {

// Before the second thread begins.
void futexes_expect_threads();
void futex_after_fork();
// The process mapped shared memory: flags alone no longer say that a word is private.
void futex_note_shared();

// Who waits is woken, as if by chance, and waits again in the kernel. By any thread of ours.
void futexes_to_kernel();
// By a vfork child about to make such a call. It can be killed at any moment, so it takes no locks: the monitor does it, and the child
// waits for that. Not where it only wakes and nobody waits here.
void futexes_meet_child(u64 address, bool only_wakes);

// True when the word at `address` may be another process's too.
bool futex_is_shared(u64 address, u32 op);
// True when waits for it and wakes go to the kernel's table.
bool futex_in_kernel(u64 address, u32 op);

// Of waits, requeues and FUTEX_WAKE_OP: meanwhile all words became the kernel's, ask it.
inline constexpr long kFutexInKernel = -598;

// With several workers, of each wake of a coroutine's: it may be the end of a section for which it waited.
inline void futex_note_wake(Coroutine* c, u64 address) {
    if (c->futex_at == address) c->futex_calls = c->calls;
}
// Waits while *address == expected. 0 when woken, -EAGAIN, -ETIMEDOUT, -EINTR (a signal is pending), -EFAULT, -EINVAL.
long futex_wait(Coroutine* c, u64 address, u32 expected, u32 bitset, u64 deadline_ns);
// A lock of the runtime's own that is held over parks; the word is 0 when free. Waiting for it parks the coroutine and no signal ends
// that. A null word: no lock.
class ParkingLock {
public:
    ParkingLock(Coroutine* c, u32* word, const char* what);
    ~ParkingLock();
    ParkingLock(const ParkingLock&) = delete;
    ParkingLock& operator=(const ParkingLock&) = delete;

private:
    u32* word_;
};
// The same in two parts, for a park without a stack: 0 when the wait has begun that `resume` goes on with.
long futex_begin_wait(Coroutine* c, u64 address, u32 expected, u32 bitset, u64 deadline_ns, long (*resume)(Coroutine*));
long futex_wait_result(Coroutine* c);
// Number woken, or -errno.
long futex_wake(u64 address, u32 count, u32 bitset);
long futex_requeue(u64 from, u32 wake_count, u64 to, u32 move_count, bool compare, u32 expected);
long futex_wake_op(u64 first, u32 count, u64 second, u32 count2, u32 encoded_op, u32 private_flag);

// Priority inheritance is meaningless among coroutines of one queue; the protocol is kept: the word holds the owner's
// (virtual) tid, an unlock hands it to the longest waiter. Results as futex(2) gives for LOCK_PI, TRYLOCK_PI, UNLOCK_PI.
long futex_lock_pi(Coroutine* c, u64 address, u64 deadline_ns);
long futex_trylock_pi(Coroutine* c, u64 address);
long futex_unlock_pi(Coroutine* c, u64 address);
// WAIT_REQUEUE_PI and CMP_REQUEUE_PI (kernel/futex/requeue.c): 0 once the caller owns `target`. *moved: it had become a waiter for it
// when the wait ended otherwise.
long futex_wait_requeue_pi(Coroutine* c, u64 address, u32 expected, u64 target, u64 deadline_ns, bool* moved);
long futex_requeue_pi(u64 from, u64 to, u32 move_count, u32 expected);
// The owner ended: the next waiter gets the word with FUTEX_OWNER_DIED. False when the address is bad.
bool futex_pi_owner_died(u64 address);

struct FutexWaitV {
    u64 address;
    u32 expected;
};
// futex_waitv(2) for private words: index of a woken one, or -errno.
long futex_wait_many(Coroutine* c, const FutexWaitV* words, u32 n, u64 deadline_ns);

}  // namespace ocrun
