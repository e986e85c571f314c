// exec.cc - execve for the guest: everything is checked, then ocrun executes itself (see process.h, host/handoff.h)
#include <asm/errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/host/exec_target.h"
#include "runtime/host/handoff.h"
#include "runtime/host/identity.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/sched/cpus.h"
#include "runtime/signal/host_signals.h"
#include "runtime/syscalls/proc_self.h"

#include <linux/memfd.h>
#include <linux/stat.h>

namespace ocrun {

OC_APART char g_exe_path[4096];
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

// A guest's vector of strings with `head` before it (replacing its first one) and `tail` behind it, in fresh pages.
struct Vector {
    u64* strings = nullptr;
    size_t bytes = 0;
    long build(u64 guest, const char* const* head, u64 head_count, u64 skip, const char* tail) {
        constexpr u64 kMost = 1u << 22;
        u64 count = 0;
        if (guest)
            for (;; count++) {
                u64 p;
                if (get_guest(&p, (void*)(guest + count * 8))) return -EFAULT;
                if (!p) break;
                if (count > kMost) return -E2BIG;
            }
        bytes = page_up((head_count + count + 2) * 8);
        strings = (u64*)pages_alloc(bytes);
        if (!strings) return -ENOMEM;
        u64 n = 0;
        for (u64 i = 0; i < head_count; i++) strings[n++] = (u64)head[i];
        // Another thread may shorten the vector meanwhile; the copy is then shorter too.
        for (u64 i = skip; i < count; i++) {
            if (get_guest(&strings[n], (void*)(guest + i * 8))) return -EFAULT;
            if (!strings[n]) break;
            n++;
        }
        if (tail) strings[n++] = (u64)tail;
        strings[n] = 0;
        return 0;
    }
    void release() {
        if (strings) pages_free(strings, bytes);
    }
};

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
    host_set_mask(g_multi ? signal_mirror_mask() : c->mask);
}

void prepare_direct_exec() {
    const SignalAction* actions = signal_actions_of(this_thread());
    // What is pending stays so until the new image opens its mask.
    // The internal signal too: an agent may send it before the new image has a handler for it.
    u64 all = ~kHostNeverBlocked | signal_bit(kInternalSignal);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    long pid = sys(__NR_getpid), tid = sys(__NR_gettid);
    siginfo_t info;
    while (direct_take_latched(all, &info)) sys(__NR_rt_tgsigqueueinfo, pid, tid, info.si_signo, &info);
    // This process has its own copy of the kernel's dispositions; ours end with the exec, ignored ones must be real. SIGSYS
    // is the way of its calls until then, and even if the exec fails.
    for (int sig = 1; sig <= kSignals; sig++) {
        if ((kUnblockable | signal_bit(SIGSYS)) & signal_bit(sig)) continue;
        if (actions[sig].handler == (u64)SIG_IGN)
            host_set_action(sig, false, true, 0);
        else if (actions[sig].handler == (u64)SIG_DFL && g_actions[sig].handler == (u64)SIG_IGN)
            host_set_action(sig, false, false, 0);
    }
}

}  // namespace

long process_exec(Call& call, int dirfd, u64 path, u64 argv, u64 envp, u32 flags) {
    Coroutine* c = call.c;
    constexpr size_t kPathBytes = 4096, kHandoffBytes = kPathBytes + kHandoffFixedBytes;
    KThread* t = this_thread();
    size_t scratch_bytes = page_up(kPathBytes + kHandoffBytes);
    char* scratch = (char*)pages_alloc(scratch_bytes);
    if (!scratch) return -ENOMEM;
    char* path_text = scratch;
    Text message(scratch + kPathBytes, kHandoffBytes);
    ExecTarget target;
    Handoff handoff{};
    handoff.filter_fd = -1;
    Vector arguments, environment;
    TextBuffer<512> why;

    long r = copy_text_from_guest(path_text, (const char*)path, kPathBytes);
    if (!is_error(r)) {
        // The guest's own executable by its usual names.
        ProcPath special;
        proc_path(c, path, &special);
        if (special.kind == ProcKind::exe) text_copy(path_text, kPathBytes, special.instead);
        r = resolve_exec(dirfd, path_text, int(flags) | (g_host_no_new_privs ? kExecHostNoNewPrivs : 0), &target, &why);
        // What Linux would have run and ocrun cannot deserves a word; plain refusals are the guest's business.
        if (r == -EPERM && target.set_id_refused) log_line(why);
        // ocrun itself cannot be mapped twice at its one address; it is recognised and starts over (resume_exec).
        if (r == -ENOMEM) {
            long fd = sys(__NR_openat, dirfd, path_text, O_RDONLY | O_CLOEXEC);
            if (!is_error(fd)) {
                if (is_ocrun(int(fd))) {
                    handoff.nested = true;
                    target.fd = int(fd);
                    target.exec_path = path_text;
                    r = 0;
                } else {
                    sys(__NR_close, fd);
                }
            }
            if (r) log_line(why);
        }
    }
    if (!r && target.prefix_count) r = arguments.build(argv, target.prefix, target.prefix_count, 1, nullptr);
    if (!r && guest_filters_present(c)) {
        long fd = guest_filters_save(c);
        if (is_error(fd))
            r = fd;
        else
            handoff.filter_fd = int(fd);
    }
    if (!r) {
        handoff.signal_mask = c->restore_mask ? c->saved_mask : c->mask;
        const SignalAction* actions = signal_actions_of(t);
        for (int sig = 1; sig <= kSignals; sig++)
            if (actions[sig].handler == (u64)SIG_IGN && sig != SIGSYS) handoff.ignored_signals |= signal_bit(sig);
        handoff.cpu = cpu_facts();
        handoff.policy_fd = hidden_fd(kHiddenPolicy);
        handoff.target_fd = target.fd;
        handoff.base = hidden_fd(kHiddenExe);
        handoff.forked_by = forked_by(c);
        handoff.host_no_new_privs = g_host_no_new_privs;
        text_copy(handoff.comm, sizeof handoff.comm, target.comm);
        handoff.exec_path = target.exec_path;
        handoff_write(handoff, &message);
        r = environment.build(envp, nullptr, 0, 0, message.c_str());
    }
    if (!r) {
        if (c->direct) {
            prepare_direct_exec();
        } else {
            signals_prepare_exec(c);
            // All that the kernel may still refuse is too much text for a stack, or memory: then mutexes are marked that live.
            process_release_shared();
        }
        if (g_multi && !c->direct) affinity_exact(c);
        cpus_before_exec(c);
        sys(__NR_fcntl, target.fd, F_SETFD, 0);
        // A vfork child shares memory with its parent, who frees this when the child has left it (clone.cc).
        const KThread::Scratch used[] = {{scratch, scratch_bytes}, {arguments.strings, arguments.bytes}, {environment.strings, environment.bytes},
                                         {target.scratch, target.scratch_bytes}};
        if (c->direct) memcpy(t->scratch, used, sizeof used);
        tracing_begins(c);
        if (c->direct && c->trace_me) sys(__NR_ptrace, PTRACE_TRACEME);
        r = sys(__NR_execveat, hidden_fd(kHiddenExe), "", arguments.strings ? (u64)arguments.strings : argv, environment.strings,
                AT_EMPTY_PATH);
        memset(t->scratch, 0, sizeof t->scratch);
        cpus_exec_failed();
        exec_failed(c);
    }
    if (handoff.filter_fd >= 0) sys(__NR_close, handoff.filter_fd);
    arguments.release();
    environment.release();
    exec_target_release(&target);
    pages_free(scratch, scratch_bytes);
    return r;
}

}  // namespace ocrun
