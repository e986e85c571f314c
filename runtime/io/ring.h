// ring.h - io_uring for what has neither readiness nor a non-blocking form
//
// One ring a process, made at the first need and owned by a kernel thread of its own that never runs guest code: a worker
// that is stuck in the kernel holds up no completion. The ring has no descriptor at all (it exists as a registered index of
// that thread only, Linux 6.5), so nothing has to be hidden from the guest, inherited by a fork or closed by an exec.
// Operations are submitted in batches, any number of them may be in flight, and each can be cancelled; the number of calls
// that really need a thread (a slow disk) is bounded by the kernel's worker pool, which is given the policy's bound.
//
// Sockets and pipes do not come here: readiness costs 10-30% less an operation (DESIGN, section 6). Where the kernel refuses
// a ring or lacks an operation, callers get kNoRing and use a helper thread (offload.h). Follows io_uring_setup(2),
// io_uring_enter(2).
#pragma once
#include "config/policy.h"
#include "runtime/sched/scheduler.h"

namespace ocrun {

inline constexpr long kNoRing = -604;  // seen by no guest: outside of errno and of the restart codes

// The fields of a submission entry that the operations below use.
struct RingOp {
    u8 opcode;
    i32 fd;
    u64 offset, address;
    u32 length, flags;
    u64 address3;
    u32 file_index;
};

// preadv2(2) at a position (never the file's own: io_uring does not lock that). vectors: guest or runtime memory that stays.
RingOp ring_readv(int fd, const void* vectors, u64 count, i64 position, u32 rwf_flags);
// fsync(2), fdatasync(2).
RingOp ring_fsync(int fd, bool data_only);
// waitid(2) without a result: completes when there is something that a waitid with these options would report (Linux 6.7).
RingOp ring_waitid(int which, i64 id, u32 options);
// FUTEX_WAIT_BITSET in the kernel's table, without a time-out; futex_op: as for futex(2), for its FUTEX_PRIVATE_FLAG; and futex_waitv(2) (Linux 6.7).
RingOp ring_futex_wait(u64 address, u32 expected, u32 bitset, u32 futex_op);
RingOp ring_futex_waitv(u64 entries, u32 count);

// Does the kernel give such a ring at all? 0 or -errno. For the launcher, before anything runs.
long ring_probe();

void ring_init(IoBackend backend, u32 threads_max);
// May the ring be used, as far as known?
bool ring_wanted();
// Parks c until the operation is done: its result. -EINTR when a signal for c came first (interruptible waits only), -ETIMEDOUT
// after deadline_ns; an operation that was done by then has its own result. kNoRing: nothing happened.
long ring_call(Coroutine* c, const RingOp& op, u64 deadline_ns, bool interruptible, const char* what, u64 detail);
void ring_after_fork();

// The ring's thread among those that make calls for the whole process (sched/workers.h, EverywhereHelpers).
u32 ring_everywhere_begin();
void ring_everywhere_end();

}  // namespace ocrun
