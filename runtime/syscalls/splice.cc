// splice.cc - moving data from descriptor to descriptor: sendfile, splice, tee, vmsplice, copy_file_range
//
// Alone in its process a coroutine just blocks in the kernel. Otherwise parts are moved that will hardly block, or that
// cannot (SPLICE_F_NONBLOCK). Follows sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2).
#include <asm/errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "runtime/syscalls/io_wait.h"

namespace ocrun {

namespace {

// sendfile has no non-blocking form: what half of a socket's free buffer holds will hardly block. A part that blocks
// after all is ended by the next tick.
u64 sendfile_part(int out, u64 left) {
    constexpr u64 kLeast = 4096, kMost = 256 * 1024;
    u32 memory[16] = {};
    u32 size = sizeof memory;
    u64 part = 64 * 1024;
    if (!is_error(sys(__NR_getsockopt, out, SOL_SOCKET, SO_MEMINFO, memory, &size))) {
        // linux/sock_diag.h
        constexpr int kWmemAlloc = 2, kSndbuf = 3, kWmemQueued = 5;
        u32 used = memory[kWmemAlloc] > memory[kWmemQueued] ? memory[kWmemAlloc] : memory[kWmemQueued];
        part = memory[kSndbuf] > used ? (memory[kSndbuf] - used) / 2 : 0;
        part = part < kLeast ? kLeast : part > kMost ? kMost : part;
    }
    return left < part ? left : part;
}

}  // namespace

long h_sendfile(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    Coroutine* c = call.c;
    Call part = call;
    IoWait w(part, 0, EPOLLOUT, SO_SNDTIMEO);
    IoWait in(part, 1, EPOLLIN, SO_RCVTIMEO);
    bool to_pipe = sys(__NR_fcntl, w.fd(), F_GETPIPE_SZ) > 0;
    u64 done = 0, wanted = call.a[3];
    for (;;) {
        u64 left = wanted - done;
        w.arm();
        in.arm();
        long r = -EAGAIN;
        if (to_pipe) {
            r = sys(__NR_splice, in.fd(), call.a[2], w.fd(), nullptr, left, SPLICE_F_NONBLOCK);
        } else if (ready_now(w.fd(), POLLOUT)) {
            part.a[3] = sendfile_part(w.fd(), left);
            r = native_attempt(part);
        }
        if (r == -EAGAIN) {
            if (done && w.nonblocking()) return long(done);
            IoWait& wait = to_pipe && !ready_now(in.fd(), POLLIN) ? in : w;
            r = wait.block();
            if (r == 0) {
                if (done && w.is_socket() && w.error_waits()) return long(done);
                continue;
            }
            if (r == kNonBlocking || r == kNoReadiness) {
                part.a[3] = left;
                r = native(part);
            }
        }
        if (r == kLookAgain) continue;
        if (r < 0) {
            claim_write_signal(c, r);
            return done ? long(done) : r == -EINTR ? w.interrupted() : r;
        }
        done += u64(r);
        // A pipe gets what fits at once, as by splice.
        if (r == 0 || done >= wanted || to_pipe) return long(done);
    }
}

namespace {

// splice, tee, vmsplice with SPLICE_F_NONBLOCK; waits for whichever side is not ready. An index < 0: no such side.
long splice_like(Call& call, int in_index, int out_index, int flags_index) {
    if (blocks_here(call.c) || (call.a[flags_index] & SPLICE_F_NONBLOCK)) return blocking_native(call, kRestartSys);
    Coroutine* c = call.c;
    Call attempt = call;
    attempt.a[flags_index] |= SPLICE_F_NONBLOCK;
    IoWait from(attempt, in_index < 0 ? 0 : in_index, EPOLLIN, SO_RCVTIMEO);
    IoWait to(attempt, out_index < 0 ? 0 : out_index, EPOLLOUT, SO_SNDTIMEO);
    bool both_were_ready = false;
    for (;;) {
        from.arm();
        to.arm();
        long r = native_attempt(attempt);
        if (r == kLookAgain) continue;
        if (r == -EINTR) return kRestartSys;
        if (r != -EAGAIN) return claim_write_signal(c, r);
        IoWait* wait = nullptr;
        if (in_index >= 0 && !ready_now(from.fd(), POLLIN))
            wait = &from;
        else if (out_index >= 0 && !ready_now(to.fd(), POLLOUT))
            wait = &to;
        if (wait) {
            r = wait->block();
            both_were_ready = false;
        } else if (!both_were_ready) {
            both_were_ready = true;  // became ready after the try, most likely
            continue;
        } else {
            r = kNoReadiness;
        }
        if (r == kNonBlocking) return -EAGAIN;
        if (r == kNoReadiness) return raise_write_signal(c, blocking_call(call, kRestartSys, "splice"));
        if (r) return r;
    }
}

}  // namespace

long h_splice(Call& call) {
    return splice_like(call, 0, 2, 5);
}
long h_tee(Call& call) {
    return splice_like(call, 0, 1, 3);
}

long h_vmsplice(Call& call) {
    // The direction is that of the pipe's end.
    bool reads = false;
    if (!blocks_here(call.c)) {
        long mode = sys(__NR_fcntl, call.a[0], F_GETFL);
        reads = !is_error(mode) && (mode & O_ACCMODE) == O_RDONLY;
    }
    return splice_like(call, reads ? 0 : -1, reads ? -1 : 0, 3);
}

long h_copy_file_range(Call& call) {
    constexpr u64 kInline = 256 * 1024;  // memory speed; more is worth a helper
    // (The kernel moves the positions on, wherever they are kept.)
    if (blocks_here(call.c) || call.a[4] <= kInline)
        return native_in_whole(call, std::min(call.a[4], kMaxTransfer), [](Call& rest, u64 n) { rest.a[4] -= n; });
    return raise_write_signal(call.c, brief_call(call, "copy_file_range"));
}

}  // namespace ocrun
