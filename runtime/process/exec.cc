// exec.cc - execve for the guest: everything is checked, then ocrun executes itself (see process.h, host/handoff.h)
#include <asm/errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/host/exec_target.h"
#include "runtime/host/handoff.h"
#include "runtime/host/identity.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/signal/host_signals.h"

#include <linux/memfd.h>
#include <linux/stat.h>

namespace ocrun {

char g_exe_path[4096];
bool g_host_no_new_privs;

namespace {

struct FileId {
    u64 device, inode;
};

long file_id(int fd, FileId* out) {
    struct statx s;
    long r = sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_INO, &s);
    if (is_error(r)) return r;
    *out = {u64(s.stx_dev_major) << 32 | s.stx_dev_minor, s.stx_ino};
    return 0;
}

bool is_ocrun(int fd) {
    FileId a, b;
    return file_id(fd, &a) == 0 && file_id(hidden_fd(kHiddenExe), &b) == 0 && a.device == b.device && a.inode == b.inode;
}

long write_all(int fd, const void* data, size_t n) {
    const char* p = (const char*)data;
    while (n) {
        long r = sys(__NR_write, fd, p, n);
        if (is_error(r)) return r;
        p += r;
        n -= size_t(r);
    }
    return 0;
}

long make_handoff(const Handoff& handoff) {
    long fd = sys(__NR_memfd_create, "ocrun-handoff", MFD_CLOEXEC);
    if (is_error(fd)) return fd;
    long r = write_all(int(fd), &handoff, sizeof handoff);
    if (!r && handoff.filter_bytes) r = write_all(int(fd), guest_filters_data(), handoff.filter_bytes);
    if (!r) r = hidden_fd_place(int(fd), kHiddenHandoff, false);
    if (is_error(r)) sys(__NR_close, fd);
    return r;
}

// argv with `prefix` instead of its first string, in fresh pages. *bytes is their size. Errors: -EFAULT, -ENOMEM, -E2BIG.
long prefixed_argv(const ExecTarget& target, u64 guest_argv, u64** out, size_t* bytes) {
    constexpr u64 kMostArguments = 1u << 22;
    u64 count = 0;
    if (guest_argv)
        for (;; count++) {
            u64 p;
            if (get_guest(&p, (void*)(guest_argv + count * 8))) return -EFAULT;
            if (!p) break;
            if (count > kMostArguments) return -E2BIG;
        }
    *bytes = page_up((target.prefix_count + count + 2) * 8);
    u64* argv = (u64*)pages_alloc(*bytes);
    if (!argv) return -ENOMEM;
    u64 n = 0;
    for (unsigned i = 0; i < target.prefix_count; i++) argv[n++] = (u64)target.prefix[i];
    for (u64 i = 1; i < count; i++)
        if (get_guest(&argv[n++], (void*)(guest_argv + i * 8))) {
            pages_free(argv, *bytes);
            return -EFAULT;
        }
    argv[n] = 0;
    *out = argv;
    return 0;
}

void exec_failed(Coroutine* c) {
    KThread* t = this_thread();
    if (c->direct) {
        host_set_mask(t->host_mask);
        return;
    }
    {
        Locked held(g_signal_lock);
        for (int sig = 1; sig <= kSignals; sig++)
            if (g_actions[sig].handler == (u64)SIG_IGN) host_resync_action(sig);
    }
    host_set_mask(g_multi ? 0 : c->mask);
}

void prepare_direct_exec() {
    const SignalAction* actions = (const SignalAction*)this_thread()->direct_actions;
    // This process has its own copy of the kernel's dispositions; ours end with the exec, ignored ones must be real.
    for (int sig = 1; sig <= kSignals; sig++) {
        if (kUnblockable & signal_bit(sig)) continue;
        if (actions[sig].handler == (u64)SIG_IGN)
            host_set_action(sig, false, true, 0);
        else if (g_actions[sig].handler == (u64)SIG_IGN)
            host_set_action(sig, false, false, 0);
    }
}

}  // namespace

long process_exec(Call& call, int dirfd, u64 path, u64 argv, u64 envp, u32 flags) {
    Coroutine* c = call.c;
    constexpr size_t kPathBytes = 4096;
    // A vfork child shares memory with its parent: what it maps here is freed by the parent (clone.cc).
    KThread* t = this_thread();
    size_t scratch_bytes = page_up(sizeof(Handoff) + kPathBytes);
    u8* scratch = (u8*)pages_alloc(scratch_bytes);
    if (!scratch) return -ENOMEM;
    Handoff* handoff = (Handoff*)scratch;
    char* path_text = (char*)scratch + sizeof(Handoff);
    ExecTarget target;
    u64* own_argv = nullptr;
    size_t own_argv_bytes = 0;
    TextBuffer<512> why;

    long r = copy_text_from_guest(path_text, (const char*)path, kPathBytes);
    if (!is_error(r)) {
        // The guest's own executable by its usual name.
        if (text_equal(path_text, "/proc/self/exe") || text_equal(path_text, "/proc/thread-self/exe"))
            text_copy(path_text, kPathBytes, g_exe_path);
        r = resolve_exec(dirfd, path_text, int(flags) | (g_host_no_new_privs ? kExecHostNoNewPrivs : 0), &target, &why);
        // What Linux would have run and ocrun cannot deserves a word; plain refusals are the guest's business.
        if (r == -EPERM && target.set_id_refused) log_line(why);
    }
    if (!r && target.prefix_count) r = prefixed_argv(target, argv, &own_argv, &own_argv_bytes);
    bool placed_target = false, placed_handoff = false;
    if (!r) {
        handoff->magic = Handoff::kMagic;
        handoff->signal_mask = c->restore_mask ? c->saved_mask : c->mask;
        handoff->nested = is_ocrun(target.fd);
        handoff->host_no_new_privs = g_host_no_new_privs;
        handoff->filter_bytes = guest_filters_bytes();
        text_copy(handoff->comm, sizeof handoff->comm, target.comm);
        text_copy(handoff->exec_path, sizeof handoff->exec_path, target.exec_path);
        r = make_handoff(*handoff);
        placed_handoff = !r;
    }
    if (!r) {
        r = hidden_fd_place(target.fd, kHiddenTarget, false);
        if (!r) {
            target.fd = -1;
            placed_target = true;
        }
    }
    if (!r) {
        if (c->direct)
            prepare_direct_exec();
        else
            signals_prepare_exec(c);
        t->scratch = c->direct ? scratch : nullptr;
        t->scratch_bytes = scratch_bytes;
        r = sys(__NR_execveat, hidden_fd(kHiddenExe), "", own_argv ? (u64)own_argv : argv, envp, AT_EMPTY_PATH);
        t->scratch = nullptr;
        exec_failed(c);
    }
    if (placed_target) sys(__NR_close, hidden_fd(kHiddenTarget));
    if (placed_handoff) sys(__NR_close, hidden_fd(kHiddenHandoff));
    if (own_argv) pages_free(own_argv, own_argv_bytes);
    exec_target_release(&target);
    pages_free(scratch, scratch_bytes);
    return r;
}

}  // namespace ocrun
