// file_control.cc - syncs, locks on files, space for them, flags of descriptions, terminals: fsync, flock, fallocate, fcntl, ioctl
//
// Tried in the form that does not wait where there is one; what would wait goes to the ring or a helper. A terminal's
// calls are made by the worker, whose process group job control looks at. Follows fsync(2), flock(2), fallocate(2),
// fcntl(2), ioctl_tty(2).
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/io/ring.h"
#include "runtime/sched/workers.h"
#include "runtime/syscalls/io_wait.h"

namespace ocrun {

namespace {

long sync_file(Call& call, bool data_only) {
    if (!blocks_here(call.c) && !wants_helper(call)) {
        long r = ring_call(call.c, ring_fsync(int(call.a[0]), data_only), kNever, false, "fsync", call.a[0]);
        if (r != kNoRing) return r;
    }
    return disk_call(call, "fsync");
}

}  // namespace

long h_fsync(Call& call) {
    return sync_file(call, false);
}
long h_fdatasync(Call& call) {
    return sync_file(call, true);
}

long h_flock(Call& call) {
    if (call.a[1] & LOCK_UN) return kAsItIs;
    if (blocks_here(call.c) || (call.a[1] & LOCK_NB)) return blocking_native(call, kRestartSys);
    Call attempt = call;
    attempt.a[1] |= LOCK_NB;
    long r = native(attempt);
    return r == -EWOULDBLOCK ? blocking_call(call, kRestartSys, "flock") : r;
}

// hugetlbfs, and tmpfs before its kernels knew better, give up at any signal (EINTR) and begin anew: what takes long is a helper's, whom no
// tick reaches.
long h_fallocate(Call& call) {
    constexpr u64 kBrief = 256 * 1024;
    if (blocks_here(call.c) || call.a[3] <= kBrief) return claim_write_signal(call.c, blocking_native(call, -EINTR));
    long r = brief_call(call, "fallocate");
    if (r == -EFBIG) return claim_write_signal(call.c, native(call));  // SIGXFSZ, where it comes with that, is the caller's
    return r == kRestartSys ? -EINTR : r;
}

namespace {

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

long wait_for_lock(Call& call, u64 without_waiting) {
    if (blocks_here(call.c)) return blocking_native(call, kRestartSys);
    Call attempt = call;
    attempt.a[1] = without_waiting;
    long r = native(attempt);
    return r == -EAGAIN || r == -EACCES ? blocking_call(call, kRestartSys, "file lock") : r;
}

// F_SETOWN_EX with the id of a thread: signals that the kernel sends to it come to the coroutine by a kernel thread of its own, which
// a thread can ask for itself.
long set_owner(Call& call) {
    Coroutine* c = call.c;
    f_owner_ex owner;
    if (get_guest(&owner, (void*)call.a[2]) || owner.type != F_OWNER_TID || owner.pid <= 0) return native(call);
    Coroutine* who;
    {
        Locked walk(g_registry_lock);
        who = registry_find(u32(owner.pid));
    }
    if (!who) return native(call);
    if (who == c && g_multi && !c->pinned)
        if (long r = worker_pin(c)) return r;
    if (who->pinned) owner.pid = i32(who->home->tid);
    Call now = call;
    now.a[2] = u64(&owner);
    long r = native(now);
    if (!is_error(r)) who->owns_io = true;
    return r;
}

// The thread whose kernel thread has the id.
i32 shown_id(i32 tid) {
    if (!g_multi) return tid;
    Locked walk(g_registry_lock);
    for (const Coroutine& x : registry())
        if (x.pinned && x.home->tid == u32(tid)) return i32(x.tid);
    return tid;
}

long get_owner(Call& call) {
    f_owner_ex owner;
    Call now = call;
    now.a[2] = u64(&owner);
    long r = native(now);
    if (is_error(r)) return r;
    if (owner.type == F_OWNER_TID) owner.pid = shown_id(owner.pid);
    return put_guest((void*)call.a[2], owner);
}

}  // namespace

long h_fcntl(Call& call) {
    switch (u32(call.a[1])) {
        case F_SETLKW:
            return wait_for_lock(call, F_SETLK);
        case F_OFD_SETLKW:
            return wait_for_lock(call, F_OFD_SETLK);
        case F_SETFL: {
            if (is_hidden_fd(i32(call.a[0]))) return -EBADF;
            long r = native(call);
            note_options_changed();
            return r;
        }
        case F_SETOWN_EX:
            return is_hidden_fd(i32(call.a[0])) ? -EBADF : set_owner(call);
        case F_GETOWN_EX:
            return is_hidden_fd(i32(call.a[0])) ? -EBADF : get_owner(call);
        case F_GETOWN: {
            if (is_hidden_fd(i32(call.a[0]))) return -EBADF;
            long r = native(call);
            return r > 0 ? shown_id(i32(r)) : r;
        }
        default:
            return is_hidden_fd(i32(call.a[0])) ? -EBADF : native(call);
    }
}

long h_ioctl(Call& call) {
    switch (u32(call.a[1])) {
        case FIONBIO: {
            long r = native(call);
            note_options_changed();
            return r;
        }
        case TIOCSPGRP:
        case TCSETS:
        case TCSETSW:
        case TCSETSF:
        case TCSETA:
        case TCSETAW:
        case TCSETAF:
        case TCSETS2:
        case TCSETSW2:
        case TCSETSF2:
        case TCSBRK:
        case TCSBRKP:
        case TCXONC:
        case TCFLSH:
            break;
        default:
            return native(call);
    }
    for (;;) {
        long r = native_on_worker(call);
        if (r == -EINTR) return kRestartSys;
        if (r != kLookAgain) return r;
        if (g_multi) yield_now(call.c);
    }
}

}  // namespace ocrun
