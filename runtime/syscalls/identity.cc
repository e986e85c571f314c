// identity.cc - who a thread is: ids, names, scheduling attributes, credentials, TLS base (gettid(2), prctl(2), sched(7) ...)
#include <asm/errno.h>
#include <asm/prctl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/sched.h>
#include <sys/prctl.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "runtime/syscalls/call.h"
#include "runtime/syscalls/task_table.h"
#include "runtime/syscalls/tracer.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

namespace {

// The call changes what the kernel keeps per thread: the coroutine gets a kernel thread of its own first.
long pinned_call(Call& call) {
    if (g_multi && !call.c->pinned && !call.c->direct) {
        long r = worker_pin(call.c);
        if (r) return r;
    }
    long r = native(call);
    this_thread()->clock = {};  // it may be another one's (time_namespaces(7))
    return r;
}

long native_everywhere(Call& call) {
    long r = native(call);
    if (!is_error(r) && g_multi && !call.c->pinned && !call.c->direct) everywhere(call.nr, call.a);
    return r;
}

bool alone() {
    Locked walk(g_registry_lock);
    return registry().size() == 1;
}

// A change of credentials. A bare call is about its thread only. A libc's set*id makes every thread call, by a signal of its own
// (signal_calls.cc: setxid_round; musl and glibc alike): then every kernel thread of ours has it before this returns, but those
// of pinned coroutines, which are told themselves.
long credentials(Call& call) {
    Coroutine* c = call.c;
    if (!g_multi || c->pinned || c->direct) return native(call);
    if (!c->setxid_round && !c->in_setxid && !alone()) return pinned_call(call);
    c->setxid_round = false;
    long r = native(call);
    if (!is_error(r)) {
        long rest = everywhere(call.nr, call.a);
        OC_CHECK(!is_error(rest));  // half-changed credentials are worse than an end
    }
    return r;
}

}  // namespace

long h_gettid(Call& call) { return call.c->tid; }

long h_set_tid_address(Call& call) {
    call.c->clear_child_tid = call.a[0];
    return call.c->tid;
}

long h_set_robust_list(Call& call) {
    if (call.a[1] != 24) return -EINVAL;  // sizeof(struct robust_list_head)
    call.c->robust_head = call.a[0];
    call.c->robust_bytes = call.a[1];
    // A lone coroutine has the kernel thread's own id, so the kernel can walk its list even after SIGKILL.
    if (!g_multi) return native(call);
    return 0;
}

long h_get_robust_list(Call& call) {
    Coroutine* target = call.c;
    if (call.a[0] && u32(call.a[0]) != call.c->tid) {
        Locked held(g_registry_lock);
        target = registry_find(u32(call.a[0]));
        if (!target) return native(call);
    }
    if (put_guest((void*)call.a[1], target->robust_head) || put_guest((void*)call.a[2], u64(24))) return -EFAULT;
    return 0;
}

long h_arch_prctl(Call& call) {
    switch (i32(call.a[0])) {
        case ARCH_SET_FS:
            if (call.a[1] >= 1ul << 47) return -EPERM;
            set_fs_base(call.c, call.a[1]);
            return 0;
        case ARCH_GET_FS:
            return put_guest((void*)call.a[1], fs_base_of(call.c));
        case ARCH_SET_GS:
            if (call.a[1] >= 1ul << 47) return -EPERM;
            call.c->gs_base = call.a[1];
            rewrite_disable();  // stubs find the runtime by GS; the trap needs no GS
            return 0;
        case ARCH_GET_GS:
            return put_guest((void*)call.a[1], call.c->gs_base);
        case OC_TABLE_PRCTL:
            return task_table_where(call);
    }
    return native(call);
}

long h_rseq(Call&) { return -ENOSYS; }

long h_setuid(Call& call) { return credentials(call); }
long h_setgid(Call& call) { return credentials(call); }
long h_setreuid(Call& call) { return credentials(call); }
long h_setregid(Call& call) { return credentials(call); }
long h_setresuid(Call& call) { return credentials(call); }
long h_setresgid(Call& call) { return credentials(call); }
long h_setgroups(Call& call) { return credentials(call); }
long h_setfsuid(Call& call) { return credentials(call); }
long h_setfsgid(Call& call) { return credentials(call); }

long h_capset(Call& call) {
    // Only the caller's own can be set; the kernel knows it by another id.
    __user_cap_header_struct header;
    if (!g_multi || call.c->direct || get_guest(&header, (void*)call.a[0]) || u32(header.pid) != call.c->tid) return credentials(call);
    const u32 version = header.version;
    header.pid = 0;
    u64 guest = call.a[0];
    call.a[0] = u64(&header);
    long r = credentials(call);
    if (header.version != version && put_guest((void*)guest, header.version)) return -EFAULT;
    return r;
}

long h_unshare(Call& call) {
    constexpr u64 kFiles = 0x400;  // CLONE_FILES
    long r = pinned_call(call);
    if (!is_error(r) && g_multi && (call.a[0] & kFiles)) call.c->own_files = true;
    return r;
}
long h_setns(Call& call) { return pinned_call(call); }

// The tracer is the kernel thread that calls (tracer.cc has the rest).
long h_ptrace_begins(Call& call) { return pinned_call(call); }
long h_set_mempolicy(Call& call) { return pinned_call(call); }
long h_keyctl(Call& call) { return pinned_call(call); }
long h_landlock_restrict_self(Call& call) { return pinned_call(call); }
long h_lsm_set_self_attr(Call& call) { return pinned_call(call); }


long h_perf_event_open(Call& call) {
    // A counter of the caller counts its kernel thread.
    return i32(call.a[1]) == 0 ? pinned_call(call) : native(call);
}

long h_io_uring_setup(Call& call) {
    constexpr u32 kSingleIssuer = 1u << 12;  // IORING_SETUP_SINGLE_ISSUER: the thread that made the ring is the only one to use it
    struct {
        u32 sq_entries, cq_entries, flags;
    } p;
    if (get_guest(&p, (void*)call.a[1])) return native(call);
    return p.flags & kSingleIssuer ? pinned_call(call) : native(call);
}

// The verifier and test runs give up at any signal (EAGAIN, EINTR), and may take seconds: a helper's, whom no tick reaches.
long h_bpf(Call& call) {
    u32 command = u32(call.a[0]);
    if (blocks_here(call.c) || (command != BPF_PROG_LOAD && command != BPF_PROG_TEST_RUN)) return native(call);
    long r = brief_call(call, "check or run of a BPF program");
    return r == kRestartSys ? -EINTR : r;
}

long h_seccomp(Call& call) {
    if (call.a[0] == SECCOMP_SET_MODE_FILTER) return guest_filter_install(call.c, u32(call.a[1]), call.a[2]);
    // Strict mode would end the runtime with its first own call.
    if (call.a[0] == SECCOMP_SET_MODE_STRICT) return -EINVAL;
    return native(call);
}

long h_prctl(Call& call) {
    Coroutine* c = call.c;
    switch (i32(call.a[0])) {
        case PR_SET_NAME: {
            char name[16];
            memset(name, 0, sizeof name);
            long r = copy_text_from_guest(name, (const char*)call.a[1], sizeof name);
            if (r == -EFAULT) return r;
            name[15] = 0;
            memcpy(c->name, name, sizeof name);
            // The process's own name is its main thread's; the other names are the coroutines'.
            if (c->is_main) sys(__NR_prctl, PR_SET_NAME, name);
            return 0;
        }
        case PR_GET_NAME:
            return copy_to_guest((void*)call.a[1], c->name, sizeof c->name);
        case PR_GET_TID_ADDRESS:  // stress-ng sets what it got here
            return put_guest((void*)call.a[1], c->clear_child_tid);
        case PR_SET_SECCOMP:
            if (call.a[1] == SECCOMP_MODE_FILTER) return guest_filter_install(call.c, 0, call.a[2]);
            return -EINVAL;
        case PR_SET_MM:
            return -EPERM;
        case PR_SET_PDEATHSIG: {  // kept per thread
            long r = pinned_call(call);
            if (!is_error(r)) parent_death_asked(c, u32(call.a[1]));
            return r;
        }
        case PR_SET_TIMERSLACK:
        case PR_SET_SECUREBITS:
        case PR_CAP_AMBIENT:
            return alone() ? native_everywhere(call) : pinned_call(call);
        // Attributes of one kernel thread that a program sets for the process in practice.
        case PR_SET_NO_NEW_PRIVS:
        case PR_CAPBSET_DROP:
        case PR_SET_KEEPCAPS:
            return native_everywhere(call);
        // Both would hit the runtime itself: its own system calls, and the clock it reads. As kernels without them answer.
        case PR_SET_SYSCALL_USER_DISPATCH:
            return call.a[1] == PR_SYS_DISPATCH_OFF ? native(call) : -EINVAL;
        case PR_SET_TSC:
            return call.a[1] == PR_TSC_ENABLE ? native(call) : -EINVAL;
        default:
            return native(call);
    }
}

}  // namespace ocrun
