// read_write.cc - reads and writes of every kind
//
// Alone in its process a coroutine just blocks in the kernel. Otherwise a transfer is tried with RWF_NOWAIT; what
// does not know that flag (ttys, inotify, page-cache writes ...) is asked by poll first and then called natively.
// Reads that miss the page cache, and calls with no non-blocking form, go to a helper. Follows read(2), write(2),
// readv(2), termios(3).
#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "runtime/base/text.h"
#include "runtime/io/ring.h"
#include "runtime/sync/futex.h"
#include "runtime/syscalls/io_wait.h"
#include "runtime/syscalls/proc_self.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008  // linux/fs.h, which clashes with glibc's headers
#endif

namespace ocrun {

namespace {

struct Transfer {
    i64 position;  // -1: the file's own
    u32 flags;     // RWF_*
    IoVector v;
};

enum class Tty : u8 { no, park, native_now, helper };

// A terminal that is not ready: may a coroutine wait for readiness?
Tty tty_wait(int fd, bool reads) {
    termios t;
    if (is_error(sys(__NR_ioctl, fd, TCGETS, &t))) return Tty::no;
    // A background process must reach the kernel, which stops it or gives EIO.
    i32 foreground;
    if (!is_error(sys(__NR_ioctl, fd, TIOCGPGRP, &foreground)) && foreground != i32(sys(__NR_getpgid, 0)))
        return Tty::native_now;
    if (reads && !(t.c_lflag & ICANON)) {
        // Timed or polling reads end without input (termios(3), "noncanonical mode").
        if (t.c_cc[VTIME]) return Tty::helper;
        if (!t.c_cc[VMIN]) return Tty::native_now;
    }
    return Tty::park;
}

// For descriptors that do not know RWF_NOWAIT. -EAGAIN: wait for readiness.
long ask_then_call(Call& plain, int fd, short events) {
    if (ready_now(fd, events)) {
        termios t;  // job control looks at the kernel thread that makes the call: terminals are the worker's
        bool helper = wants_helper(plain) && is_error(sys(__NR_ioctl, fd, TCGETS, &t));
        return helper ? helper_attempt(plain) : native_on_worker(plain);
    }
    switch (tty_wait(fd, events & POLLIN)) {
        case Tty::native_now:
            return native_on_worker(plain);
        case Tty::helper:
            return blocking_call(plain, -EINTR, "terminal");
        default:
            return -EAGAIN;
    }
}

Call plain_call(Coroutine* c, u32 nr, int fd, const Transfer& t, u64 done) {
    i64 at = t.position < 0 ? -1 : t.position + i64(done);
    return {c, nr, {u64(fd), u64(t.v.data()), t.v.size(), u64(at), 0, t.flags}};
}

long try_transfer(u32 nr, int fd, const Transfer& t, u64 done) {
    i64 at = t.position < 0 ? -1 : t.position + i64(done);
    return hot_sys(nr, fd, t.v.data(), t.v.size(), at, 0, t.flags | RWF_NOWAIT);
}

// What is not in the page cache: by the ring, else by a helper. A signal does not end it, as natively. At the file's own
// position the ring only fetches the bytes, into the guest's buffer and so into the page cache: which of two readers moves
// the position, and by how much, is then the kernel's decision in one try.
long read_cold(Coroutine* c, int fd, const Transfer& t, u64 done) {
    Call plain = plain_call(c, __NR_preadv2, fd, t, done);
    i64 at = i64(plain.a[3]);
    if (!wants_helper(plain)) {
        i64 from = at < 0 ? sys(__NR_lseek, fd, 0, SEEK_CUR) : at;
        long r = from < 0 ? kNoRing : ring_call(c, ring_readv(fd, t.v.data(), t.v.size(), from, t.flags), kNever, false, "file", u64(fd));
        if (r != kNoRing && at >= 0) return r;
        if (r > 0) r = try_transfer(__NR_preadv2, fd, t, done);
        if (r > 0) return r;
    }
    return disk_call(plain, "file");
}

// Files and block devices: their reads wait for the disk only. (The table of registrations says no about what epoll takes.)
bool waits_for_disk(int fd) {
    struct stat st;
    return !fd_registered(fd) && !is_error(sys(__NR_fstat, fd, &st)) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

// /dev/zero, full, random and urandom: their reads are short only because of a signal (linux/major.h, drivers/char/mem.c).
bool never_ends(const struct stat& st) {
    constexpr u32 kMemMajor = 1, kMinors = 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9;
    return S_ISCHR(st.st_mode) && major(st.st_rdev) == kMemMajor && minor(st.st_rdev) < 32 && (kMinors >> minor(st.st_rdev) & 1);
}

// A short read of a file: the kernel gave what was in the page cache. Natively only the end of the file is short.
long read_rest(Coroutine* c, int fd, Transfer& t, long got) {
    struct stat st;
    i64 end = t.position < 0 ? sys(__NR_lseek, fd, 0, SEEK_CUR) : t.position + got;
    if (end < 0 || is_error(sys(__NR_fstat, fd, &st))) return got;
    bool endless = never_ends(st);
    if (!S_ISBLK(st.st_mode) && !endless && (!S_ISREG(st.st_mode) || end >= st.st_size)) return got;
    u64 done = u64(got);
    for (long r = got; r > 0 && t.v.advance(u64(r)) && t.v.size(); done += u64(r)) {
        attend();
        if (endless && signal_pending(c)) break;
        r = try_transfer(__NR_preadv2, fd, t, done);
        if (r == -EAGAIN) r = read_cold(c, fd, t, done);
        if (r <= 0) break;
    }
    return long(done);
}

// One buffer, at the file's own position, no flags: what read(2) and write(2) do.
bool is_plain(const Transfer& t) { return t.position < 0 && !t.flags && t.v.own() && t.v.data()->iov_len; }

// read(2) of one buffer from a stream socket is a recv, and cheaper so. Other kinds differ: a read of nothing takes no datagram,
// a write to a SOCK_SEQPACKET ends a record.
bool is_plain_stream(const Transfer& t, FdKind kind) {
    return (kind == FdKind::stream || kind == FdKind::unix_stream) && is_plain(t);
}

long try_read(int fd, const Transfer& t, FdKind kind) {
    if (!is_plain_stream(t, kind)) return try_transfer(__NR_preadv2, fd, t, 0);
    long r = hot_sys(__NR_recvfrom, fd, t.v.data()->iov_base, t.v.data()->iov_len, MSG_DONTWAIT, nullptr, nullptr);
    // The number became another file's without our seeing it.
    return r == -ENOTSOCK ? try_transfer(__NR_preadv2, fd, t, 0) : r;
}

// Not expected to block. When it does, a tick or a signal ends it: then the ordinary way.
long plain_read(int fd, const Transfer& t, Pipe* pipe) {
    IntrResult r = oc_syscall_intr_told(__NR_read, fd, (long)t.v.data()->iov_base, (long)t.v.data()->iov_len, 0, 0, 0);
    if (r.result != -EINTR) return r.result;
    if (r.begun) pipe_distrust(pipe);
    attend();
    return try_transfer(__NR_preadv2, fd, t, 0);
}

long plain_write(int fd, const Transfer& t, Pipe* pipe) {
    IntrResult r = oc_syscall_intr_told(__NR_write, fd, (long)t.v.data()->iov_base, (long)t.v.data()->iov_len, 0, 0, 0);
    if (r.result != -EINTR) return r.result;
    if (r.begun) pipe_distrust(pipe);
    attend();
    return try_transfer(__NR_pwritev2, fd, t, 0);
}

u32* position_lock(int fd, const Transfer& t) { return t.position < 0 ? fd_position_lock(fd) : nullptr; }

long behind_read(Coroutine* c);

// begun: it parked without a stack, and this is the rest.
long do_read(Call& call, Transfer& t, bool begun = false) {
    Coroutine* c = call.c;
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    if (begun)
        w.behind_park();
    else
        w.give_way();
    w.kind();
    // A read in several parts is one read for others who use the same position, as f_pos_lock makes it in the kernel.
    u32* locked = position_lock(w.fd(), t);
    ParkingLock position(c, locked, "file position");
    for (;;) {
        w.arm();
        FdKind kind = w.kind();
        Pipe* pipe = kind == FdKind::pipe ? fd_pipe(w.fd()) : nullptr;
        long r = pipe && pipe_has_bytes(pipe) && is_plain(t) ? plain_read(w.fd(), t, pipe)
                 : w.known_empty()                           ? -EAGAIN
                                                             : try_read(w.fd(), t, kind);
        if (r != -EAGAIN) w.succeeded();
        if (r > 0) {
            if (pipe) pipe_took(pipe, u64(r));
            if (u64(r) == t.v.total()) return r;
            if (kind == FdKind::file || kind == FdKind::other || kind == FdKind::unknown) return read_rest(c, w.fd(), t, r);
            if (t.v.reaches_end(u64(r))) w.emptied();
            return r;
        }
        if (r == -EOPNOTSUPP) {
            Call plain = call;
            r = ask_then_call(plain, w.fd(), POLLIN);
        }
        if (r == kLookAgain) continue;
        if (r == -EINTR) return w.interrupted();
        if (r != -EAGAIN) return r;
        if (waits_for_disk(w.fd())) {
            r = read_cold(c, w.fd(), t, 0);
            return r > 0 && u64(r) < t.v.total() ? read_rest(c, w.fd(), t, r) : r;
        }
        r = w.block(call.nr == __NR_read && !locked ? behind_read : nullptr);
        if (r == kParks) return r;
        if (r == 0) continue;
        if (r == kNonBlocking) return native(call);
        if (r == kNoReadiness) return blocking_call(call, kRestartSys, "file");
        return r;
    }
}

long behind_read(Coroutine* c) {
    Call call = call_in_progress(c);
    Transfer t{-1, 0, IoVector(call.a[1], call.a[2])};
    return do_read(call, t, true);
}

bool is_eventfd(int fd) {
    TextBuffer<64> path;
    path.add("/proc/thread-self/fd/").dec(fd);
    constexpr char kName[] = "anon_inode:[eventfd]";
    char name[sizeof kName];
    return sys(__NR_readlink, path.c_str(), name, sizeof name) == sizeof kName - 1 && !memcmp(name, kName, sizeof kName - 1);
}

// Of a descriptor without room: is it an eventfd that refuses the write at once, room or not (fs/eventfd.c, eventfd_write)?
bool refused_without_room(int fd, const Transfer& t) {
    if (!t.v.size()) return false;
    const iovec& first = *t.v.data();
    u64 value;
    bool odd = first.iov_len < sizeof value || (first.iov_len == sizeof value && (get_guest(&value, first.iov_base) || value == ~0ul));
    return odd && is_eventfd(fd);
}

// The next part of a write. A socket that took a part already must not raise SIGPIPE for the rest.
long try_write(const Transfer& t, u64 done, IoWait& w, FdKind kind) {
    if (!done && is_plain_stream(t, kind)) {
        long r = hot_sys(__NR_sendto, w.fd(), t.v.data()->iov_base, t.v.data()->iov_len, MSG_DONTWAIT, nullptr, 0);
        return r == -ENOTSOCK ? try_transfer(__NR_pwritev2, w.fd(), t, done) : r;
    }
    if (!done || !w.is_socket()) return try_transfer(__NR_pwritev2, w.fd(), t, done);
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(t.v.data());
    m.msg_iovlen = t.v.size();
    return sys(__NR_sendmsg, w.fd(), &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

long do_write(Call& call, Transfer& t) {
    Coroutine* c = call.c;
    IoWait w(call, 0, EPOLLOUT, SO_SNDTIMEO);
    u64 done = 0, total = 0;
    w.kind();
    ParkingLock position(c, position_lock(w.fd(), t), "file position");
    for (;;) {
        w.arm();
        FdKind kind = w.kind();
        Pipe* pipe = kind == FdKind::pipe ? fd_pipe(w.fd()) : nullptr;
        bool plain = pipe && !done && is_plain(t) && pipe_has_room(pipe, t.v.data()->iov_len);
        long r = plain ? plain_write(w.fd(), t, pipe) : try_write(t, done, w, kind);
        if (r == -EOPNOTSUPP) {
            Call rest = plain_call(c, __NR_pwritev2, w.fd(), t, done);
            r = ask_then_call(done ? rest : call, w.fd(), POLLOUT);
            if (r == -EAGAIN && refused_without_room(w.fd(), t)) r = native(done ? rest : call);
        }
        if (r == -EAGAIN) {
            r = w.block();
            if (r == 0) {
                if (done && w.is_socket() && w.error_waits()) return long(done);
                continue;
            }
            if (r == kNonBlocking) r = done ? -EAGAIN : native(call);
            if (r == kNoReadiness) {
                Call rest = plain_call(c, __NR_pwritev2, w.fd(), t, done);
                r = native_attempt(rest);
            }
        }
        if (r == kLookAgain) continue;
        if (r < 0) {
            claim_write_signal(c, r);
            if (done) return long(done);
            return r == -EINTR ? w.interrupted() : r;
        }
        if (pipe) pipe_wrote(pipe, u64(r));
        if (!done) total = t.v.total();
        done += u64(r);
        if (r == 0 || done >= total || w.nonblocking() || !t.v.advance(u64(r))) return long(done);
    }
}

// Of nothing, or of more than there can be: the kernel's own call is not what preadv2 and its like make of it. (An empty datagram is
// sent, an eventfd says EINVAL, a directory EISDIR, and what goes beyond the address space is EFAULT.)
bool odd_count(u64 bytes) {
    constexpr int kAddressBits = 47;
    return !bytes || bytes >> kAddressBits;
}

long move_odd_count(Call& call) {
    for (;;) {
        long r = native_attempt(call);
        if (r != kLookAgain) return r == -EINTR ? kRestartSys : claim_write_signal(call.c, r);
    }
}

bool passes_nowait(u32 flags) {
    return flags & RWF_NOWAIT;
}

}  // namespace

long h_read(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    if (answers_at_once(int(call.a[0]))) return kAsItIs;
    if (odd_count(call.a[2])) return move_odd_count(call);
    Transfer t{-1, 0, IoVector(call.a[1], call.a[2])};
    return do_read(call, t);
}

long h_readv(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    if (answers_at_once(int(call.a[0]))) return kAsItIs;
    Transfer t{-1, 0, IoVector(call.a[1], call.a[2], 0)};
    return do_read(call, t);
}

long h_pread64(Call& call) {
    if (blocks_here(call.c) || i64(call.a[3]) < 0) return blocking_native(call, kRestartSys);
    if (odd_count(call.a[2])) return move_odd_count(call);
    Transfer t{i64(call.a[3]), 0, IoVector(call.a[1], call.a[2])};
    return do_read(call, t);
}

long h_preadv(Call& call) {
    if (blocks_here(call.c) || i64(call.a[3]) < 0) return blocking_native(call, kRestartSys);
    Transfer t{i64(call.a[3]), 0, IoVector(call.a[1], call.a[2], 0)};
    return do_read(call, t);
}

long h_preadv2(Call& call) {
    u32 flags = u32(call.a[5]);
    if (blocks_here(call.c) || i64(call.a[3]) < -1 || passes_nowait(flags)) return blocking_io(call, SO_RCVTIMEO);
    Transfer t{i64(call.a[3]), flags, IoVector(call.a[1], call.a[2], 0)};
    return do_read(call, t);
}

// More than a page: the kernel looks for signals after each.
long h_getrandom(Call& call) {
    return native_in_whole(call, std::min(call.a[1], kMaxTransfer), [](Call& rest, u64 n) {
        rest.a[0] += n;
        rest.a[1] -= n;
    });
}

long h_write(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    if (answers_at_once(int(call.a[0]))) return claim_write_signal(call.c, native(call));
    if (odd_count(call.a[2])) return move_odd_count(call);
    if (long r; proc_write(call, &r)) return r;
    Transfer t{-1, 0, IoVector(call.a[1], call.a[2])};
    return do_write(call, t);
}

long h_writev(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    if (answers_at_once(int(call.a[0]))) return claim_write_signal(call.c, native(call));
    Transfer t{-1, 0, IoVector(call.a[1], call.a[2], 0)};
    return do_write(call, t);
}

long h_pwrite64(Call& call) {
    if (blocks_here(call.c) || i64(call.a[3]) < 0) return blocking_native(call, kRestartSys);
    if (odd_count(call.a[2])) return move_odd_count(call);
    Transfer t{i64(call.a[3]), 0, IoVector(call.a[1], call.a[2])};
    return do_write(call, t);
}

long h_pwritev(Call& call) {
    if (blocks_here(call.c) || i64(call.a[3]) < 0) return blocking_native(call, kRestartSys);
    Transfer t{i64(call.a[3]), 0, IoVector(call.a[1], call.a[2], 0)};
    return do_write(call, t);
}

long h_pwritev2(Call& call) {
    u32 flags = u32(call.a[5]);
    if (blocks_here(call.c) || i64(call.a[3]) < -1 || passes_nowait(flags)) return blocking_io(call, SO_SNDTIMEO);
    Transfer t{i64(call.a[3]), flags, IoVector(call.a[1], call.a[2], 0)};
    return do_write(call, t);
}

}  // namespace ocrun
