// process_calls.cc - clone family, exec, exit, wait (the man pages of section 2 with these names)
#include <asm/errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/io/readiness.h"
#include "runtime/io/ring.h"
#include "runtime/process/process.h"
#include "runtime/syscalls/call.h"
#include "runtime/syscalls/tracer.h"

namespace ocrun {

namespace {

// Every set of flags that the kernel refuses is refused by it in a fork; threads check their own (process/clone.cc).
CloneRequest from_clone(const Call& call) {
    CloneRequest q{};
    q.flags = call.a[0] & ~u64(CSIGNAL);
    q.exit_signal = call.a[0] & CSIGNAL;
    q.stack = call.a[1];
    q.parent_tid = q.pidfd = call.a[2];
    q.child_tid = call.a[3];
    q.tls = call.a[4];
    return q;
}

// Parks until there is something that a waitid with these options would report. 0: look again; a restart code; kNoRing.
long wait_for_child(Coroutine* c, int which, i64 id, u32 options) {
    // The ring's thread has no children of its own.
    if (options & __WNOTHREAD) return kNoRing;
    // Looking is left to the caller: only it can fill in the rusage, and another thread may be quicker.
    long r = ring_call(c, ring_waitid(which, id, options | WNOWAIT), kNever, true, "child", u64(id));
    if (r == kNoRing) return r;
    return r == -EINTR && signal_pending(c) ? kRestartSys : 0;
}

// A pidfd of one child beyond the runtime's own numbers, where no program counts on the next free one; or -errno (kernels
// and sandboxes without it, not a child's pid, no room up there).
long open_pidfd(i64 pid) {
    long fd = sys(__NR_pidfd_open, pid, 0);
    if (is_error(fd)) return fd;
    long high = sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, hidden_fd_base() + kHiddenFdCount);
    sys(__NR_close, fd);
    return high;
}

// Parks until the child has ended, or for a while: of a traced child's stops no descriptor tells. 0: look again, or a restart code;
// -ENOSYS: no pidfd can be had.
long wait_for_exit(Coroutine* c, i64 pid) {
    constexpr u64 kLookAgainNs = 100000000;
    const u64 deadline = now_ns() + kLookAgainNs;
    long fd = open_pidfd(pid);
    if (is_error(fd)) return -ENOSYS;
    long r = 0;
    for (;;) {
        u32 seen = fd_sequence(int(fd));
        pollfd p{int(fd), POLLIN, 0};
        long ready = sys(__NR_poll, &p, 1, 0);
        if (ready == -EINTR) continue;  // a tick
        if (ready && (p.revents & POLLNVAL)) return 0;  // the guest closed everything: look again, the number is not ours now
        if (ready) break;
        WakeReason why;
        long w = fd_wait(c, int(fd), EPOLLIN, seen, deadline, &why);
        if (is_error(w)) {
            r = -ENOSYS;
            break;
        }
        if (why == WakeReason::signal && signal_pending(c)) {
            r = kRestartSys;
            break;
        }
        if (why == WakeReason::timeout) break;
    }
    fd_forget(int(fd));
    sys(__NR_close, fd);
    return r;
}

}  // namespace

long h_clone(Call& call) { return process_clone(call, from_clone(call)); }

long h_clone3(Call& call) {
    constexpr u64 kOldest = 64;  // CLONE_ARGS_SIZE_VER0
    u64 size = call.a[1];
    if (size < kOldest) return -EINVAL;
    if (size > kPageBytes) return -E2BIG;
    clone_args a{};
    if (copy_from_guest(&a, (void*)call.a[0], size < sizeof a ? size : sizeof a)) return -EFAULT;
    // What a newer program may ask for and this runtime does not know has to be nothing (copy_struct_from_user).
    for (u64 at = sizeof a; at < size; at++) {
        u8 byte;
        if (get_guest(&byte, (void*)(call.a[0] + at))) return -EFAULT;
        if (byte) return -E2BIG;
    }
    if (size > sizeof a) size = sizeof a;
    if ((a.stack == 0) != (a.stack_size == 0)) return -EINVAL;
    CloneRequest q{};
    q.flags = a.flags;
    q.exit_signal = a.exit_signal;
    q.stack = a.stack ? a.stack + a.stack_size : 0;
    q.parent_tid = a.parent_tid;
    q.child_tid = a.child_tid;
    q.pidfd = a.pidfd;
    q.tls = a.tls;
    q.clone3 = (void*)call.a[0];
    q.clone3_bytes = size;
    return process_clone(call, q);
}

long h_fork(Call& call) {
    CloneRequest q{};
    q.exit_signal = SIGCHLD;
    return process_clone(call, q);
}

long h_vfork(Call& call) {
    CloneRequest q{};
    q.flags = CLONE_VM | CLONE_VFORK;
    q.exit_signal = SIGCHLD;
    return process_clone(call, q);
}

long h_execve(Call& call) { return process_exec(call, AT_FDCWD, call.a[0], call.a[1], call.a[2], 0); }
long h_execveat(Call& call) {
    return process_exec(call, i32(call.a[0]), call.a[1], call.a[2], call.a[3], u32(call.a[4]));
}

long h_exit(Call& call) { thread_exit(call.c, int(call.a[0])); }
long h_exit_group(Call& call) { process_exit(call.c, int(call.a[0])); }

namespace {

// Which worker forked a child says nothing about whose it is; a child asked for by its id is the caller's in any program that works.
u64 without_nothread(const Call& call, u64 options, bool by_id) {
    return g_multi && !call.c->pinned && by_id ? options & ~u64(__WNOTHREAD) : options;
}

long wait4_once(Call& call) {
    call.a[2] = without_nothread(call, call.a[2], i32(call.a[0]) > 0);
    if (blocks_here(call.c) || (call.a[2] & WNOHANG)) return blocking_native(call, kRestartSys);
    Coroutine* c = call.c;
    i64 pid = i32(call.a[0]);
    for (;;) {
        Call now = call;
        now.a[2] |= WNOHANG;
        long r = native(now);
        if (r != 0) return r;
        static_assert(WUNTRACED == WSTOPPED);
        u32 kinds = u32(call.a[2]) | WEXITED;
        int which = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
        r = wait_for_child(c, which, pid < -1 ? -pid : pid, kinds);
        if (r == 0) continue;
        if (r != kNoRing) return r;
        // A certain child's end has a descriptor; stops, groups and "any" have not.
        if (pid <= 0 || (call.a[2] & ~u64(__WCLONE))) break;  // who asks for all kinds may be a tracer
        r = wait_for_exit(c, pid);
        if (r == -ENOSYS) break;
        if (r) return r;
    }
    return blocking_call(call, kRestartSys, "wait4");
}

}  // namespace

long h_wait4(Call& call) {
    for (;;) {
        i32 status = 0;
        Call once = call;
        once.a[1] = u64(&status);
        long r = wait4_once(once);
        if (r <= 0) return r;
        if (tracer_passes_over(call.c, u32(r), &status)) continue;
        return call.a[1] && put_guest((void*)call.a[1], status) ? -EFAULT : r;
    }
}

namespace {

// waitid(2) writes six fields of the siginfo and leaves the rest.
long report_child(u64 guest, const siginfo_t& info) {
    if (!guest) return 0;
    const char* from = (const char*)&info;
    constexpr size_t kHead = 12, kChild = offsetof(siginfo_t, si_pid), kChildBytes = 12;  // signal, errno, code; pid, uid, status
    static_assert(offsetof(siginfo_t, si_status) == kChild + 8);
    if (copy_to_guest((void*)guest, from, kHead)) return -EFAULT;
    return copy_to_guest((void*)(guest + kChild), from + kChild, kChildBytes) ? -EFAULT : 0;
}

}  // namespace

long h_waitid(Call& call) {
    call.a[3] = without_nothread(call, call.a[3], int(call.a[0]) == P_PID);
    if (blocks_here(call.c) || (call.a[3] & WNOHANG)) return blocking_native(call, kRestartSys);
    Coroutine* c = call.c;
    int which = int(call.a[0]);
    if (which == P_PIDFD) {
        // Never waits, and says so by EAGAIN.
        long flags = sys(__NR_fcntl, call.a[1], F_GETFL);
        if (is_error(flags) || (flags & O_NONBLOCK)) return native(call);
    }
    for (;;) {
        siginfo_t info;
        memset(&info, 0, sizeof info);
        Call now = call;
        now.a[2] = u64(&info);
        now.a[3] |= WNOHANG;
        long r = native(now);
        // With an error the kernel writes too: zeros.
        if (is_error(r) || info.si_pid) {
            long written = report_child(call.a[2], info);
            return written ? written : r;
        }
        r = wait_for_child(c, which, i32(call.a[1]), u32(call.a[3]));
        if (r == 0) continue;
        if (r != kNoRing) return r;
        if (which != P_PID || (call.a[3] & (WSTOPPED | WCONTINUED)) || !(call.a[3] & WEXITED)) break;
        r = wait_for_exit(c, i32(call.a[1]));
        if (r == -ENOSYS) break;
        if (r) return r;
    }
    return blocking_call(call, kRestartSys, "waitid");
}

}  // namespace ocrun
