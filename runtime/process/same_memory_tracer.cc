// same_memory_tracer.cc - ptrace(2) of our threads by a child that shares our memory
//
// A leak detector stops all threads of its process so: a child made with CLONE_VM attaches to each id in /proc/PID/task, reads
// their registers and lets them go. The kernel knows no coroutine by its id, and the kernel threads tell nothing of those that
// wait. So for such a child the runtime is the kernel: attaching sends a SIGSTOP, which ends waits as any signal does; on its way
// to the guest the coroutine, before it acts on a signal, stops (trace_stop, called by the delivery), parked until the tracer
// lets it go on. Its registers are those of its context. A call that the stop interrupted is repeated by the usual rules.
//
// The tracer is no worker and changes nothing of the scheduler itself: what does is an errand that a worker runs for it. So is a
// signal by tgkill(2) to one of our threads. A coroutine whose tracer is dead goes on by itself. While the process has one thread the
// kernel does all of it, but for the registers of a thread that it stopped inside the runtime.
//
// A tracer may be killed at any moment, also while a worker runs its errand: its memory stays, and the next tracer's errand follows.
#include <asm/errno.h>
#include <elf.h>
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/host_signals.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

namespace {

// Coroutine::trace_state, a futex word for the tracer.
constexpr u32 kGoesOn = 0, kStopped = 1, kReported = 2;
// A dead tracer is noticed, and the end of a thread that was to stop, after this long at most.
constexpr u64 kLookAgainNs = 20000000;

// Caller holds g_registry_lock.
Coroutine* tracee(u32 tid, u32 tracer) {
    Coroutine* c = registry_find(tid);
    return c && c->tracer == tracer ? c : nullptr;
}

bool is_gone(u32 tracer) {
    if (sys(__NR_kill, tracer, 0) == -ESRCH) return true;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    return !is_error(sys(__NR_waitid, P_PID, tracer, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr)) && info.si_pid;
}

struct Request {
    u32 tid, tracer;
    int sig;
    bool detach;
    long result;
};

void attach_errand(void* argument) {
    Request& q = *(Request*)argument;
    Coroutine* c;
    {
        Locked held(g_registry_lock);
        c = registry_find(q.tid);
        q.result = !c ? -ESRCH : c->tracer ? -EPERM : 0;
        if (q.result) return;
        c->trace_state.store(kGoesOn, std::memory_order_relaxed);
        c->tracer = q.tracer;
    }
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGSTOP;
    info.si_code = SI_USER;
    signal_post_thread(c, info);
}

void signal_errand(void* argument) {
    Request& q = *(Request*)argument;
    Coroutine* c;
    {
        Locked held(g_registry_lock);
        c = registry_find(q.tid);
    }
    q.result = c ? 0 : -ESRCH;
    if (!c || !q.sig) return;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = q.sig;
    info.si_code = SI_TKILL;
    info.si_pid = i32(q.tracer);
    info.si_uid = u32(sys(__NR_getuid));
    signal_post_thread(c, info);
}

void go_on_errand(void* argument) {
    Request& q = *(Request*)argument;
    Locked held(g_registry_lock);
    Coroutine* c = tracee(q.tid, q.tracer);
    q.result = !c || c->trace_state.load(std::memory_order_acquire) == kGoesOn ? -ESRCH : 0;
    if (q.result) return;
    c->trace_signal = q.sig;
    if (q.detach) c->tracer = 0;
    c->trace_state.store(kGoesOn, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    u64 word = c->wait_word.load(std::memory_order_seq_cst);
    if ((word & 0xff) == u64(WakeReason::none)) wake(c, word, WakeReason::woken);
}

long by_a_worker(void (*errand)(void*), Request q) {
    worker_errand(errand, &q);
    return q.result;
}

void registers(const Coroutine* c, user_regs_struct* out) {
    constexpr u64 kUserCs = 0x33, kUserSs = 0x2b;
    const GuestRegs& r = c->regs;
    *out = {};
    out->r15 = r.r15, out->r14 = r.r14, out->r13 = r.r13, out->r12 = r.r12, out->r11 = r.r11, out->r10 = r.r10, out->r9 = r.r9, out->r8 = r.r8;
    out->rbp = r.rbp, out->rbx = r.rbx, out->rax = r.rax, out->rcx = r.rcx, out->rdx = r.rdx, out->rsi = r.rsi, out->rdi = r.rdi;
    out->rip = r.rip, out->rsp = r.rsp, out->eflags = r.eflags;
    out->cs = kUserCs, out->ss = kUserSs;
    out->fs_base = c->fs_base, out->gs_base = c->gs_base;
    out->orig_rax = ~0ul;
}

// As the kernel shows it: a component that is not in use has its initial value.
void extended_state(const Coroutine* c, u8* out) {
    constexpr size_t kX87 = 160, kXmmEnd = 416, kMxcsr = 24, kMxcsrEnd = 32, kEnabled = 464, kInUse = 512;
    memcpy(out, c->xsave, xsave_exact_bytes());
    u64 in_use, enabled = xsave_features();
    memcpy(&in_use, out + kInUse, sizeof in_use);
    if (!(in_use & 1)) {
        memset(out, 0, kMxcsr);
        memset(out + kMxcsrEnd, 0, kX87 - kMxcsrEnd);
        out[0] = 0x7f, out[1] = 0x03;
    }
    if (!(in_use & 2)) memset(out + kX87, 0, kXmmEnd - kX87);
    memcpy(out + kEnabled, &enabled, sizeof enabled);
}

long register_set(const Coroutine* c, u64 which, u64 guest_iovec) {
    iovec v;
    if (get_guest(&v, (void*)guest_iovec)) return -EFAULT;
    constexpr size_t kFxsave = 512;
    size_t bytes = page_up(xsave_exact_bytes());
    u8* text = (u8*)pages_alloc(bytes);
    if (!text) return -ENOMEM;
    size_t size = 0;
    if (which == NT_PRSTATUS) {
        registers(c, (user_regs_struct*)text);
        size = sizeof(user_regs_struct);
    } else if (which == NT_PRFPREG || which == NT_X86_XSTATE) {
        extended_state(c, text);
        size = which == NT_PRFPREG ? kFxsave : xsave_exact_bytes();
    }
    long r = size ? 0 : -EINVAL;
    if (!r) {
        if (v.iov_len > size) v.iov_len = size;
        if (copy_to_guest(v.iov_base, text, v.iov_len) || put_guest((void*)guest_iovec, v)) r = -EFAULT;
    }
    pages_free(text, bytes);
    return r;
}

long look_at(const Coroutine* c, const Call& call) {
    user_regs_struct r;
    u64 word;
    iovec all{(void*)call.a[3], 512};
    switch (call.a[0]) {
        case PTRACE_GETREGS:
            registers(c, &r);
            return copy_to_guest((void*)call.a[3], &r, sizeof r) ? -EFAULT : 0;
        case PTRACE_PEEKUSER:
            if (call.a[2] % 8 || call.a[2] >= sizeof r) return -EIO;
            registers(c, &r);
            memcpy(&word, (const u8*)&r + call.a[2], sizeof word);
            return put_guest((void*)call.a[3], word);
        case PTRACE_GETREGSET:
            return register_set(c, call.a[2], call.a[3]);
        case PTRACE_GETFPREGS: {
            u8* text = (u8*)pages_alloc(page_up(xsave_exact_bytes()));
            if (!text) return -ENOMEM;
            extended_state(c, text);
            long bad = copy_to_guest(all.iov_base, text, all.iov_len);
            pages_free(text, page_up(xsave_exact_bytes()));
            return bad ? -EFAULT : 0;
        }
        case PTRACE_PEEKTEXT:
        case PTRACE_PEEKDATA:
            if (get_guest(&word, (void*)call.a[2])) return -EIO;
            return put_guest((void*)call.a[3], word);
        case PTRACE_POKETEXT:
        case PTRACE_POKEDATA:
            return put_guest((void*)call.a[2], call.a[3]) ? -EIO : 0;
        case PTRACE_GETSIGINFO:
            return copy_to_guest((void*)call.a[3], c->fault_info, sizeof c->fault_info) ? -EFAULT : 0;
        case PTRACE_SETOPTIONS:
            return call.a[3] ? -EINVAL : 0;
        default:
            return -EIO;
    }
}

// The kernel stopped the lone thread; what it was about lies in its context if that was inside the runtime.
long lone_thread(Call& call) {
    long r = native(call);
    const bool plain = call.a[0] == PTRACE_GETREGS, set = call.a[0] == PTRACE_GETREGSET && call.a[2] == NT_PRSTATUS;
    if (is_error(r) || (!plain && !set)) return r;
    user_regs_struct now;
    if (is_error(sys(__NR_ptrace, PTRACE_GETREGS, call.a[1], 0, &now)) || !in_runtime(now.rip)) return r;
    const Coroutine* c;
    {
        Locked held(g_registry_lock);
        c = registry_find(u32(call.a[1]));
    }
    if (!c) return r;
    user_regs_struct guest;
    registers(c, &guest);
    guest.fs_base = now.fs_base;
    if (plain) return copy_to_guest((void*)call.a[3], &guest, sizeof guest) ? -EFAULT : r;
    iovec v;  // as the kernel left it
    if (get_guest(&v, (void*)call.a[3])) return -EFAULT;
    return copy_to_guest(v.iov_base, &guest, v.iov_len < sizeof guest ? v.iov_len : sizeof guest) ? -EFAULT : r;
}

}  // namespace

bool same_memory_ptrace(Call& call, long* result) {
    const u32 tid = u32(call.a[1]), tracer = call.c->tid;
    if (!tid) return false;
    if (!g_multi) {
        if (tid != g_pid) return false;
        *result = lone_thread(call);
        return true;
    }
    Coroutine* c;
    {
        Locked held(g_registry_lock);
        c = registry_find(tid);
    }
    if (!c) return false;
    if (call.a[0] == PTRACE_ATTACH) {
        *result = by_a_worker(attach_errand, {tid, tracer, 0, false, 0});
    } else if (c->tracer != tracer || c->trace_state.load(std::memory_order_acquire) == kGoesOn) {
        *result = -ESRCH;
    } else if (call.a[0] == PTRACE_CONT || call.a[0] == PTRACE_DETACH) {
        *result = call.a[3] > u64(kSignals) ? -EIO : by_a_worker(go_on_errand, {tid, tracer, int(call.a[3]), call.a[0] == PTRACE_DETACH, 0});
    } else {
        *result = look_at(c, call);  // it stands still until this very thread lets it go
    }
    return true;
}

bool same_memory_tgkill(Call& call, u32 tid, int sig, long* result) {
    if (!g_multi || tid == g_pid || sig < 0 || sig > kSignals || (kUnblockable & signal_bit(sig ? sig : 1))) return false;
    {
        Locked held(g_registry_lock);
        if (!registry_find(tid)) return false;
    }
    *result = by_a_worker(signal_errand, {tid, call.c->tid, sig, false, 0});
    return true;
}

bool same_memory_wait(Call& call, long* result) {
    const u32 tid = u32(call.a[0]), tracer = call.c->tid;
    if (!g_multi || i32(tid) <= 0) return false;
    for (bool first = true;; first = false) {
        Coroutine* c;
        {
            Locked held(g_registry_lock);
            c = tracee(tid, tracer);
        }
        if (!c) {
            *result = -ECHILD;
            return !first;  // it ended before it stopped
        }
        u32 state = c->trace_state.load(std::memory_order_acquire);
        if (state == kStopped) {
            const i32 status = c->trace_signal << 8 | 0x7f;
            c->trace_state.store(kReported, std::memory_order_release);
            rusage none{};
            bool bad = (call.a[1] && put_guest((void*)call.a[1], status)) || (call.a[3] && put_guest((void*)call.a[3], none));
            *result = bad ? -EFAULT : long(tid);
            return true;
        }
        *result = 0;
        if (call.a[2] & WNOHANG) return true;
        const timespec patience{0, long(kLookAgainNs)};
        if (oc_syscall_intr(__NR_futex, (long)&c->trace_state, FUTEX_WAIT_PRIVATE, state, (long)&patience, 0, 0) == -EINTR) {
            *result = kRestartSys;
            return true;
        }
    }
}

int trace_stop(Coroutine* c, const siginfo_t& info) {
    const u32 tracer = c->tracer;
    if (c->xstate_live) save_live_xstate(c);
    complete_xstate(c);
    c->fs_base = fs_base_of(c);
    static_assert(sizeof c->fault_info == sizeof info);
    memcpy(c->fault_info, &info, sizeof info);
    c->trace_signal = info.si_signo;
    c->trace_state.store(kStopped, std::memory_order_seq_cst);
    sys(__NR_futex, &c->trace_state, FUTEX_WAKE_PRIVATE, 1);
    for (;;) {
        wait_begin(c, false);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (c->trace_state.load(std::memory_order_seq_cst) == kGoesOn) {
            wake(c, c->wait_sequence << 8, WakeReason::woken);
            wait_park(c, kNever, "tracer", tracer);
            return c->trace_signal;
        }
        WakeReason why = wait_park(c, now_ns() + kLookAgainNs, "tracer", tracer);
        if (why != WakeReason::timeout || !is_gone(tracer)) continue;
        c->tracer = 0;
        c->trace_state.store(kGoesOn, std::memory_order_seq_cst);
        return info.si_signo == SIGSTOP ? 0 : info.si_signo;
    }
}

}  // namespace ocrun
