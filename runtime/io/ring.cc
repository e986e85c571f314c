// ring.cc - the ring and its thread (see ring.h)
#include "runtime/io/ring.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>

#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/io/offload.h"
#include "runtime/sched/workers.h"

namespace ocrun {

namespace {

// One operation. Lives on the runtime stack of the coroutine that waits for it, which stays until `done`: the kernel has let
// go of every buffer by then.
struct RingJob {
    RingOp op;
    long result;
    Coroutine* c;
    u64 token;
    enum class State : u8 { queued, in_kernel, done } state;
    bool to_be_cancelled;  // in g_to_cancel
    RingJob *previous, *next;  // in the queue of what is to be submitted, later perhaps in that of what is to be cancelled
};

struct JobList {
    RingJob *head, *tail;
    void append(RingJob* job) {
        job->next = nullptr;
        job->previous = tail;
        (tail ? tail->next : head) = job;
        tail = job;
    }
    void remove(RingJob* job) {
        (job->previous ? job->previous->next : head) = job->next;
        (job->next ? job->next->previous : tail) = job->previous;
    }
};

// What the thread and the kernel share. The entries fill one page, the two rings fit into another, so that no kernel needs
// physically contiguous memory for them (IORING_SETUP_NO_MMAP before Linux 6.13).
constexpr u32 kEntries = 64;
static_assert(kEntries * sizeof(io_uring_sqe) == kPageBytes);
struct Ring {
    u32 index;  // of the registered ring
    io_uring_sqe* entries;
    io_uring_cqe* completions;
    std::atomic<u32>*sq_head, *sq_tail, *cq_head, *cq_tail;
    u32 sq_mask, cq_mask;
    u64 known_operations;  // one bit an opcode
    void* memory;
} g_ring;

enum class RingState : u8 { unknown, ready, refused };
std::atomic<RingState> g_state{RingState::unknown};
bool g_allowed;
u32 g_threads_max;

Lock g_lock;  // the lists and every job's shared fields
JobList g_to_submit, g_to_cancel;
KThread* g_thread;
// The thread is in the kernel, or about to go there, with nothing left to submit.
std::atomic<bool> g_asleep{false};

constexpr u64 kNobody = 0;  // user data of a cancellation: nobody waits for it

// 0 or -errno. The calling thread is the only one that may use the ring.
long ring_open() {
    char* memory = (char*)pages_alloc(2 * kPageBytes);
    if (!memory) return -ENOMEM;
    io_uring_params p;
    memset(&p, 0, sizeof p);
    p.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_NO_MMAP |
              IORING_SETUP_REGISTERED_FD_ONLY | IORING_SETUP_NO_SQARRAY;
    p.sq_off.resv2 = u64(memory);               // user_addr since Linux 6.5: the entries
    p.cq_off.resv2 = u64(memory) + kPageBytes;  // both rings
    long index = sys(__NR_io_uring_setup, kEntries, &p);
    if (is_error(index)) {
        pages_free(memory, 2 * kPageBytes);
        return index;
    }
    char* rings = memory + kPageBytes;
    auto word = [&](u32 offset) { return (std::atomic<u32>*)(rings + offset); };
    g_ring.index = u32(index);
    g_ring.memory = memory;
    g_ring.entries = (io_uring_sqe*)memory;
    g_ring.completions = (io_uring_cqe*)(rings + p.cq_off.cqes);
    g_ring.sq_head = word(p.sq_off.head);
    g_ring.sq_tail = word(p.sq_off.tail);
    g_ring.cq_head = word(p.cq_off.head);
    g_ring.cq_tail = word(p.cq_off.tail);
    g_ring.sq_mask = word(p.sq_off.ring_mask)->load(std::memory_order_relaxed);
    g_ring.cq_mask = word(p.cq_off.ring_mask)->load(std::memory_order_relaxed);

    constexpr u32 kMostOperations = 64;
    alignas(io_uring_probe) char answer[sizeof(io_uring_probe) + kMostOperations * sizeof(io_uring_probe_op)] = {};
    io_uring_probe* probe = (io_uring_probe*)answer;
    g_ring.known_operations = 0;
    if (!is_error(sys(__NR_io_uring_register, index, IORING_REGISTER_PROBE | IORING_REGISTER_USE_REGISTERED_RING, probe, kMostOperations)))
        for (u32 i = 0; i < probe->ops_len && i < kMostOperations; i++)
            if (probe->ops[i].flags & IO_URING_OP_SUPPORTED) g_ring.known_operations |= 1ul << i;
    u32 bounds[2] = {g_threads_max, g_threads_max};
    sys(__NR_io_uring_register, index, IORING_REGISTER_IOWQ_MAX_WORKERS | IORING_REGISTER_USE_REGISTERED_RING, bounds, 2);
    return 0;
}

void finish(RingJob* job, long result) {
    u64 token;
    Coroutine* c = job->c;
    {
        Locked held(g_lock);
        if (job->to_be_cancelled) g_to_cancel.remove(job);
        job->result = result;
        job->state = RingJob::State::done;
        token = job->token;
    }
    // From here on the job's memory may be gone; the coroutine itself is type-stable.
    wake(c, token, WakeReason::woken);
}

void write_entry(io_uring_sqe* e, const RingOp& op, u64 user_data) {
    memset(e, 0, sizeof *e);
    e->opcode = op.opcode;
    e->fd = op.fd;
    e->off = op.offset;
    e->addr = op.address;
    e->len = op.length;
    e->rw_flags = int(op.flags);
    e->addr3 = op.address3;
    e->file_index = op.file_index;
    e->user_data = user_data;
}

// Jobs into entries, as many as there is room for; returns how many entries wait for the kernel.
u32 fill() {
    u32 tail = g_ring.sq_tail->load(std::memory_order_relaxed);
    auto waiting = [&] { return tail - g_ring.sq_head->load(std::memory_order_acquire); };
    // Cancellations first; an operation that was submitted in the same round is found, for entries are taken in order.
    while (waiting() < kEntries) {
        RingOp op{};
        u64 user_data = kNobody;
        RingJob* unknown = nullptr;
        {
            Locked held(g_lock);
            if (RingJob* job = g_to_cancel.head) {
                g_to_cancel.remove(job);
                job->to_be_cancelled = false;
                op.opcode = IORING_OP_ASYNC_CANCEL;
                op.address = u64(job);
            } else if ((job = g_to_submit.head)) {
                g_to_submit.remove(job);
                job->state = RingJob::State::in_kernel;
                op = job->op;
                user_data = u64(job);
                if (!(g_ring.known_operations >> op.opcode & 1)) unknown = job;
            } else {
                break;
            }
        }
        if (unknown) {
            finish(unknown, kNoRing);
            continue;
        }
        write_entry(&g_ring.entries[tail & g_ring.sq_mask], op, user_data);
        g_ring.sq_tail->store(++tail, std::memory_order_release);
    }
    return waiting();
}

void reap() {
    u32 head = g_ring.cq_head->load(std::memory_order_relaxed);
    while (head != g_ring.cq_tail->load(std::memory_order_acquire)) {
        io_uring_cqe done = g_ring.completions[head & g_ring.cq_mask];
        g_ring.cq_head->store(++head, std::memory_order_release);
        if (done.user_data != kNobody) finish((RingJob*)done.user_data, done.res);
    }
}

bool nothing_queued() {
    Locked held(g_lock);
    return !g_to_submit.head && !g_to_cancel.head;
}

// No ring here: whoever waits for it goes another way, now and later.
[[noreturn]] void refuse(u32* seen) {
    g_state.store(RingState::refused, std::memory_order_release);
    for (;;) {
        RingJob* job;
        {
            Locked held(g_lock);
            job = g_to_submit.head;
            if (job)
                g_to_submit.remove(job);
            else
                g_thread = nullptr;
        }
        if (!job) break;
        finish(job, kNoRing);
    }
    everywhere_catch_up(seen);  // counted on until g_thread was taken back
    // The block stays: this is its stack.
    for (;;) sys(__NR_exit, 0);
}

void ring_main(void* argument) {
    KThread* t = (KThread*)argument;
    u32 seen = helper_thread_begins(t, "ocrun-ring");
    if (is_error(ring_open())) refuse(&seen);
    g_state.store(RingState::ready, std::memory_order_release);
    for (;;) {
        t->latched.store(0, std::memory_order_seq_cst);
        everywhere_catch_up(&seen);
        u32 waiting = fill();
        g_asleep.store(true, std::memory_order_seq_cst);
        u32 wanted = nothing_queued() ? 1 : 0;
        oc_syscall_intr(__NR_io_uring_enter, g_ring.index, waiting, wanted, IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING, 0, 0);
        g_asleep.store(false, std::memory_order_relaxed);
        reap();
    }
}

void kick() {
    if (g_asleep.exchange(false, std::memory_order_seq_cst)) worker_kick(g_thread);
}

}  // namespace

RingOp ring_readv(int fd, const void* vectors, u64 count, i64 position, u32 rwf_flags) {
    return {IORING_OP_READV, fd, u64(position), u64(vectors), u32(count), rwf_flags, 0, 0};
}
RingOp ring_fsync(int fd, bool data_only) {
    return {IORING_OP_FSYNC, fd, 0, 0, 0, data_only ? IORING_FSYNC_DATASYNC : 0, 0, 0};
}
RingOp ring_waitid(int which, i64 id, u32 options) {
    return {OC_IORING_OP_WAITID, i32(id), 0, 0, u32(which), 0, 0, options};
}
RingOp ring_futex_wait(u64 address, u32 expected, u32 bitset, u32 futex_op) {
    return {OC_IORING_OP_FUTEX_WAIT, i32(FUTEX2_SIZE_U32 | (futex_op & FUTEX_PRIVATE_FLAG)), expected, address, 0, 0, bitset, 0};
}
RingOp ring_futex_waitv(u64 entries, u32 count) {
    return {OC_IORING_OP_FUTEX_WAITV, 0, 0, entries, count, 0, 0, 0};
}

long ring_probe() {
    long r = ring_open();
    if (is_error(r)) return r;
    struct {
        u32 index, reserved;
        u64 data;
    } gone{g_ring.index, 0, 0};  // struct io_uring_rsrc_update
    sys(__NR_io_uring_register, g_ring.index, IORING_UNREGISTER_RING_FDS | IORING_REGISTER_USE_REGISTERED_RING, &gone, 1);
    pages_free(g_ring.memory, 2 * kPageBytes);
    g_ring = {};
    return 0;
}

void ring_init(IoBackend backend, u32 threads_max) {
    g_allowed = backend != IoBackend::epoll;
    g_threads_max = threads_max ? threads_max : 64;
}

bool ring_wanted() { return g_allowed && g_state.load(std::memory_order_acquire) != RingState::refused; }

long ring_call(Coroutine* c, const RingOp& op, u64 deadline_ns, bool interruptible, const char* what, u64 detail) {
    if (!ring_wanted()) return kNoRing;
    if (g_state.load(std::memory_order_acquire) == RingState::ready && !(g_ring.known_operations >> op.opcode & 1)) return kNoRing;
    RingJob job{};
    job.op = op;
    job.c = c;
    {
        Locked held(g_lock);
        if (!g_thread && !(g_thread = helper_thread_start(ring_main))) return kNoRing;
        if (!ring_wanted()) return kNoRing;
        job.token = wait_begin(c, interruptible);
        g_to_submit.append(&job);
    }
    kick();
    bool timed_out = false, asked = false;
    for (;;) {
        WakeReason why = wait_park(c, deadline_ns, what, detail);
        {
            Locked held(g_lock);
            if (job.state == RingJob::State::done) {
                if (job.result != -ECANCELED) return job.result;
                return timed_out ? -ETIMEDOUT : -EINTR;
            }
            if (why != WakeReason::woken && !asked) {
                asked = true;
                timed_out = why == WakeReason::timeout;
                if (job.state == RingJob::State::queued) {
                    g_to_submit.remove(&job);
                    return timed_out ? -ETIMEDOUT : -EINTR;
                }
                job.to_be_cancelled = true;
                g_to_cancel.append(&job);
            }
            job.token = wait_begin(c, false);
        }
        deadline_ns = kNever;
        kick();
    }
}

u32 ring_everywhere_begin() {
    g_lock.lock();
    return g_thread ? 1 : 0;
}

void ring_everywhere_end() {
    if (g_thread) worker_kick(g_thread);
    g_lock.unlock();
}

void ring_after_fork() {
    g_lock.reset();
    g_to_submit = g_to_cancel = {};
    g_asleep.store(false, std::memory_order_relaxed);
    if (g_thread) kthread_free(g_thread);
    g_thread = nullptr;
    if (g_ring.memory) pages_free(g_ring.memory, 2 * kPageBytes);
    g_ring = {};
    if (g_state.load(std::memory_order_relaxed) == RingState::ready) g_state.store(RingState::unknown, std::memory_order_relaxed);
}

}  // namespace ocrun
