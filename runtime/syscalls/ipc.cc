// ipc.cc - message queues, semaphores, kernel AIO and io_uring: tried without waiting, else left to a helper
//
// None of them has a readiness that a poll could wait for (but POSIX queues, whose notifications depend on a reader
// that really waits in the kernel). Follows msgop(2), semop(2), mq_send(3), mq_receive(3), io_getevents(2),
// io_uring_enter(2).
#include <asm/errno.h>
#include <linux/io_uring.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/sched/monitor.h"
#include "runtime/syscalls/io_wait.h"

namespace ocrun {

namespace {

constexpr u64 kIpcNowait = 04000;  // IPC_NOWAIT, linux/ipc.h

// A call with a relative time-out in argument `index`: what is repeated after a signal without effect waits for the
// rest.
long blocking_with_timeout(Call& call, int index, long interrupted, const char* what) {
    if (!call.a[index]) return blocking_call(call, interrupted, what);
    Timespec64 t;
    if (get_guest(&t, (void*)call.a[index])) return -EFAULT;
    u64 deadline;
    long r = deadline_from(t, &deadline);
    if (r) return r;
    for (;;) {
        Timespec64 left = remaining(deadline);
        Call rest = call;
        rest.a[index] = u64(&left);
        r = blocks_here(call.c) ? blocking_syscall(rest.nr, rest.a).result : offload_call(call.c, rest.nr, rest.a, what);
        if (r != -EINTR) return r;
        attend();
        if (signal_pending(call.c)) return interrupted;
    }
}

}  // namespace

long h_msgsnd(Call& call) {
    if (!blocks_here(call.c) && !(call.a[3] & kIpcNowait)) {
        Call attempt = call;
        attempt.a[3] |= kIpcNowait;
        long r = native(attempt);
        if (r != -EAGAIN) return r;
    }
    return blocking_call(call, kRestartNoHand, "msgsnd");
}

long h_msgrcv(Call& call) {
    if (!blocks_here(call.c) && !(call.a[4] & kIpcNowait)) {
        Call attempt = call;
        attempt.a[4] |= kIpcNowait;
        long r = native(attempt);
        if (r != -ENOMSG) return r;
    }
    return blocking_call(call, kRestartNoHand, "msgrcv");
}

namespace {

struct SemaphoreOp {
    u16 number;
    std::int16_t change, flags;
};

// The operations with IPC_NOWAIT on each. -EAGAIN: would block, or the guest's own IPC_NOWAIT says so: the kernel
// tells by the original call.
long semaphores_now(const Call& call) {
    constexpr u64 kMost = 64;
    SemaphoreOp ops[kMost];
    u64 n = call.a[2];
    if (n > kMost || copy_from_guest(ops, (void*)call.a[1], n * sizeof(SemaphoreOp))) return -EAGAIN;
    for (u64 i = 0; i < n; i++) ops[i].flags |= std::int16_t(kIpcNowait);
    return sys(__NR_semop, call.a[0], ops, n);
}

}  // namespace

long h_semop(Call& call) {
    if (!blocks_here(call.c)) {
        long r = semaphores_now(call);
        if (r != -EAGAIN) return r;
    }
    return blocking_call(call, -EINTR, "semop");
}

long h_semtimedop(Call& call) {
    Timespec64 t;
    if (call.a[3]) {
        if (get_guest(&t, (void*)call.a[3])) return -EFAULT;
        if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= 1000000000) return -EINVAL;
    }
    if (!blocks_here(call.c)) {
        long r = semaphores_now(call);
        if (r != -EAGAIN) return r;
    }
    return blocking_with_timeout(call, 3, -EINTR, "semtimedop");
}

namespace {

// A time-out in 1970 makes the queue's calls try only; the result tells whether they would have waited.
long queue_call(Call& call, const char* what) {
    if (blocks_here(call.c)) return blocking_native(call, kRestartSys);
    if (call.a[4]) {
        Timespec64 t;
        if (get_guest(&t, (void*)call.a[4])) return -EFAULT;
        if (t.tv_sec < 0 || t.tv_nsec < 0 || t.tv_nsec >= 1000000000) return -EINVAL;
    }
    timespec past{0, 0};
    Call attempt = call;
    attempt.a[4] = u64(&past);
    long r = native(attempt);
    return r == -ETIMEDOUT ? blocking_call(call, kRestartSys, what) : r;
}

}  // namespace

long h_mq_timedsend(Call& call) {
    return queue_call(call, "mq_timedsend");
}
long h_mq_timedreceive(Call& call) {
    return queue_call(call, "mq_timedreceive");
}

// What is asked for here ends with the first descriptor of the queue that a thread of the process closes, a copy in a table of its
// own too. So the thread that closes such copies does it before.
long h_mq_notify(Call& call) {
    if (call.a[1]) {
        enter_multi(call.c);
        monitor_wait_for_own_table();
    }
    return native(call);
}

namespace {

constexpr u64 kAioEventBytes = 32;  // sizeof(struct io_event)

// io_getevents and io_pgetevents once the mask is set: what is there at once, then the missing ones by a helper.
long aio_events(Call& call) {
    i64 least = i64(call.a[1]);
    if (blocks_here(call.c) || least <= 0) return blocking_with_timeout(call, 4, -EINTR, "io_getevents");
    Timespec64 none{0, 0};
    Call attempt = call;
    attempt.nr = __NR_io_getevents;
    attempt.a[4] = u64(&none);
    long got = native(attempt);
    if (is_error(got) || got >= least) return got;
    Call rest = call;
    rest.nr = __NR_io_getevents;
    rest.a[1] = u64(least - got);
    rest.a[2] = call.a[2] - u64(got);
    rest.a[3] = call.a[3] + u64(got) * kAioEventBytes;
    long r = blocking_with_timeout(rest, 4, -EINTR, "io_getevents");
    if (is_error(r)) return got ? got : r;
    return got + r;
}

}  // namespace

long h_io_getevents(Call& call) {
    return aio_events(call);
}

long h_io_pgetevents(Call& call) {
    if (!call.a[5]) return aio_events(call);
    struct {
        u64 set, bytes;
    } mask;
    u64 set;
    if (get_guest(&mask, (void*)call.a[5])) return -EFAULT;
    if (!mask.set) {
        call.a[5] = 0;
        return aio_events(call);
    }
    if (mask.bytes != 8) return -EINVAL;
    if (get_guest(&set, (void*)mask.set)) return -EFAULT;
    signal_set_temporary_mask(call.c, set);
    call.a[5] = 0;
    return aio_events(call);
}

long h_io_uring_enter(Call& call) {
    u32 flags = u32(call.a[3]);
    u64 least = call.a[2];
    if (blocks_here(call.c) || !(flags & IORING_ENTER_GETEVENTS) || !least) return blocking_native(call, -EINTR);
    Call submit = call;
    submit.a[2] = 0;
    submit.a[3] &= ~u64(IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG);
    submit.a[4] = submit.a[5] = 0;
    long submitted = call.a[1] ? native(submit) : 0;
    // What could not be submitted ends the call: its completion would be waited for in vain.
    if (is_error(submitted) || u32(submitted) != u32(call.a[1])) return submitted;

    // Waiting: the mask is the coroutine's business, a helper's own must stay closed.
    Call wait = call;
    wait.a[1] = 0;
    struct {
        u64 mask;
        u32 mask_bytes, min_wait_us;
        u64 timeout;
    } extended{};
    u64 mask_address = call.a[4], mask_bytes = call.a[5];
    if (flags & IORING_ENTER_EXT_ARG) {
        if (call.a[5] != sizeof extended) return -EINVAL;
        if (get_guest(&extended, (void*)call.a[4])) return -EFAULT;
        mask_address = extended.mask;
        mask_bytes = extended.mask_bytes;
        extended.mask = 0;
        extended.mask_bytes = 0;
        wait.a[4] = u64(&extended);
    } else {
        wait.a[4] = wait.a[5] = 0;
    }
    if (mask_address) {
        u64 set;
        if (mask_bytes != 8) return -EINVAL;
        if (get_guest(&set, (void*)mask_address)) return -EFAULT;
        signal_set_temporary_mask(call.c, set);
    }
    long r = offload_call(call.c, wait.nr, wait.a, "io_uring");
    // A ring with one issuer waits only in the thread that made it.
    while (r == -EEXIST || r == kLookAgain) r = native_attempt(wait);
    if (submitted) return submitted;
    return r;
}

}  // namespace ocrun
