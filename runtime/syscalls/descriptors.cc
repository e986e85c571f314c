// descriptors.cc - opening, closing and duplicating descriptors; looking at files by path
//
// The runtime's own descriptors (base/hidden_fds.h) do not exist for the guest. Before a number changes its meaning
// the readiness table forgets it. Paths below /proc that name the process itself are answered for the guest
// (proc_self.h). Opening a FIFO may wait for its other end: a helper does it; everything else is opened on the spot.
// Follows open(2), openat2(2), close(2), close_range(2), dup(2), stat(2), readlink(2), access(2), fifo(7).
#include <asm/errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "runtime/syscalls/io_wait.h"
#include "runtime/syscalls/proc_self.h"
#include "runtime/syscalls/wait_set.h"

namespace ocrun {

// ---- numbers
// ---------------------------------------------------------------------------------------------------------

namespace {

// The number is about to lose its file. Calls that wait for it keep the file.
void forget(int fd) {
    io_wait_keep_files(unsigned(fd), unsigned(fd));
    fd_forget(fd);
    proc_forget(fd);
}

// The number has lost its file. A call that another worker made meanwhile registered the old file under it: whoever waits
// looks again, and the new file gets a registration of its own.
void forget_again(unsigned first, unsigned last) {
    if (first == last)
        fd_forget(int(first));
    else
        fd_forget_range(first, last);
}

// Closing it may wait until what was sent has arrived, or for a signal, be it a tick: a helper's. (SO_LINGER that a program outside of
// the tree has set is not known.)
bool lingers(const Coroutine* c, int fd) {
    if (!__atomic_load_n(&tree_shared()->lingers, __ATOMIC_RELAXED) || blocks_here(c)) return false;
    struct linger l{};
    u32 size = sizeof l;
    return !is_error(sys(__NR_getsockopt, fd, SOL_SOCKET, SO_LINGER, &l, &size)) && l.l_onoff && l.l_linger;
}

}  // namespace

long h_close(Call& call) {
    int fd = int(call.a[0]);
    if (is_hidden_fd(fd)) return -EBADF;
    bool multi = g_multi && !call.c->own_files;
    if (multi) forget(fd);
    long r = multi && lingers(call.c, fd) ? brief_call(call, "close of a socket that lingers") : native(call);
    if (multi) forget_again(fd, fd);
    if (__builtin_expect(fd >= kLeastTable, 0) && !r) select_note_closed(fd);
    return r;
}

namespace {

// dup2 and dup3 are refused before they touch anything, or they replace `to`.
long replace(Call& call) {
    int from = int(call.a[0]), to = int(call.a[1]);
    if (is_hidden_fd(from) || is_hidden_fd(to)) return -EBADF;
    if (!g_multi || call.c->own_files || from == to || sys(__NR_fcntl, from, F_GETFD) < 0) return native(call);
    forget(to);
    long r = lingers(call.c, to) ? brief_call(call, "close of a socket that lingers") : native(call);
    forget_again(unsigned(to), unsigned(to));
    return r;
}

}  // namespace

long h_dup(Call& call) {
    return is_hidden_fd(i32(call.a[0])) ? -EBADF : native(call);
}
long h_dup2(Call& call) {
    return replace(call);
}
long h_dup3(Call& call) {
    return replace(call);
}

long h_close_range(Call& call) {
    u32 first = u32(call.a[0]), last = u32(call.a[1]), flags = u32(call.a[2]);
    if (first > last || (flags & ~u32(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))) return native(call);
    // Threads of ours share the table with the guest, so in multi mode it cannot be unshared for one of them. With no other
    // coroutine nobody sees the difference; with others their descriptors must not go.
    if (call.c->own_files) return hidden_fds_close_range(first, last, flags);
    if (g_multi && (flags & CLOSE_RANGE_UNSHARE)) {
        Locked walk(g_registry_lock);
        if (registry().size() > 1) return -ENOSYS;
        flags &= ~u32(CLOSE_RANGE_UNSHARE);
    }
    if (g_multi && !(flags & CLOSE_RANGE_CLOEXEC)) {
        io_wait_keep_files(first, last);
        fd_forget_range(first, last);
        long r = hidden_fds_close_range(first, last, flags);
        forget_again(first, last);
        return r;
    }
    return hidden_fds_close_range(first, last, flags);
}

// ---- opening
// ---------------------------------------------------------------------------------------------------------

namespace {

// An open may wait only for the other end of a FIFO.
bool may_wait(int dirfd, u64 path, u64 flags) {
    if (flags & (O_NONBLOCK | O_PATH | O_DIRECTORY)) return false;
    if ((flags & O_ACCMODE) == O_RDWR) return false;
    struct stat st;
    return !is_error(sys(__NR_newfstatat, dirfd, path, &st, 0)) && S_ISFIFO(st.st_mode);
}

// A file system or page faults that the program serves itself: its threads may be stuck in the kernel until another one answers.
void note_own_service(u64 path) {
    char begin[9] = {};  // of /dev/fuse, /dev/userfaultfd
    if (copy_from_guest(begin, (void*)path, 8)) return;
    if (text_starts_with(begin, "/dev/fus") || text_starts_with(begin, "/dev/use")) worker_expect_stuck();
}

// All opens: the path is argument path_index, dirfd the one before it (none for open and creat).
long open_path(Call& call, int path_index, u64 flags) {
    ProcPath p;
    proc_path(call.c, call.a[path_index], &p);
    switch (p.kind) {
        case ProcKind::none:
        case ProcKind::thread_self:
            break;
        case ProcKind::absent:
            return -ENOENT;
        case ProcKind::exe:
            if (flags & O_NOFOLLOW) return native(call);
            call.a[path_index] = u64(p.instead);
            return native(call);
        case ProcKind::thread:
            call.a[path_index] = u64(p.instead);
            return native(call);
        case ProcKind::thread_comm:
        case ProcKind::thread_stat:
        case ProcKind::status:
            if (flags & (O_PATH | O_DIRECTORY)) {
                call.a[path_index] = u64(p.instead);
                return native(call);
            }
            return proc_open_text(call.c, p, flags);
    }
    note_own_service(call.a[path_index]);
    if (blocks_here(call.c)) return blocking_native(call, kRestartSys);
    int dirfd = path_index ? int(call.a[path_index - 1]) : AT_FDCWD;
    return may_wait(dirfd, call.a[path_index], flags) ? blocking_call(call, kRestartSys, "open of a FIFO")
                                                      : native(call);
}

}  // namespace

long h_open(Call& call) {
    return open_path(call, 0, u32(call.a[1]));
}
long h_creat(Call& call) {
    return open_path(call, 0, O_CREAT | O_WRONLY | O_TRUNC);
}
long h_openat(Call& call) {
    return open_path(call, 1, u32(call.a[2]));
}

long h_openat2(Call& call) {
    open_how how{};
    if (call.a[3] < sizeof how || get_guest(&how, (void*)call.a[2])) return native(call);
    // A program that forbids links in its path gets the kernel's refusal.
    if (how.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)) return native(call);
    return open_path(call, 1, how.flags);
}

// ---- looking
// ---------------------------------------------------------------------------------------------------------

namespace {

// A call that looks at a path. follows: a link at its end is followed.
long look_at(Call& call, int path_index, bool follows) {
    ProcPath p;
    proc_path(call.c, call.a[path_index], &p);
    if (p.kind == ProcKind::absent) return -ENOENT;
    if (p.kind >= ProcKind::thread || (p.kind == ProcKind::exe && follows)) call.a[path_index] = u64(p.instead);
    return native(call);
}

long look_at_descriptor_or_path(Call& call, u64 flags) {
    if ((flags & AT_EMPTY_PATH) && is_hidden_fd(i32(call.a[0]))) return -EBADF;
    return look_at(call, 1, !(flags & AT_SYMLINK_NOFOLLOW));
}

long read_link(Call& call, int path_index) {
    ProcPath p;
    proc_path(call.c, call.a[path_index], &p);
    const char* text = g_exe_path;
    TextBuffer<48> thread;
    switch (p.kind) {
        case ProcKind::none:
            return native(call);
        case ProcKind::absent:
            return -ENOENT;
        case ProcKind::exe:
            // The link of the kept descriptor reads as the kernel's own would, " (deleted)" included.
            if (p.instead != g_exe_path) {
                call.a[path_index] = u64(p.instead);
                return native(call);
            }
            break;
        case ProcKind::thread_self:
            thread.dec(g_pid).add("/task/").dec(p.tid);
            text = thread.c_str();
            break;
        default:
            call.a[path_index] = u64(p.instead);
            return native(call);
    }
    i32 size = i32(call.a[path_index + 2]);
    if (size <= 0) return -EINVAL;
    size_t n = text_length(text);
    if (n > size_t(size)) n = size_t(size);
    return copy_to_guest((void*)call.a[path_index + 1], text, n) ? -EFAULT : long(n);
}

}  // namespace

long h_stat(Call& call) {
    return look_at(call, 0, true);
}
long h_lstat(Call& call) {
    return look_at(call, 0, false);
}
long h_access(Call& call) {
    return look_at(call, 0, true);
}
long h_fstat(Call& call) {
    return is_hidden_fd(i32(call.a[0])) ? -EBADF : native(call);
}
long h_newfstatat(Call& call) {
    return look_at_descriptor_or_path(call, call.a[3]);
}
long h_statx(Call& call) {
    return look_at_descriptor_or_path(call, call.a[2]);
}
long h_faccessat(Call& call) {
    return look_at(call, 1, true);
}
long h_faccessat2(Call& call) {
    return look_at(call, 1, !(call.a[3] & AT_SYMLINK_NOFOLLOW));
}
long h_readlink(Call& call) {
    return read_link(call, 0);
}
long h_readlinkat(Call& call) {
    return read_link(call, 1);
}

namespace {

// A listing stops at any signal.
long list_directory(Call call) {
    u64 room = u32(call.a[2]);
    for (u64 done = 0;;) {
        SignalMark before;
        long r = proc_getdents(call);
        if (r <= 0) return done ? long(done) : r;  // no room for the next one, or the end
        done += u64(r);
        if (done >= room || !before.only_ours_came(call.c)) return long(done);
        call.a[1] += u64(r);
        call.a[2] = room - done;
    }
}

}  // namespace

long h_getdents(Call& call) {
    return list_directory(call);
}
long h_getdents64(Call& call) {
    return list_directory(call);
}

}  // namespace ocrun
