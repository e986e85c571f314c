// direct.cc - the calls of a vfork or CLONE_VM child (see process.h)
//
// It shares the parent's memory, so it changes nothing of the runtime: masks are its own coroutine's, signal actions are a
// private copy, every other call is the kernel's. It blocks like any native thread.
//
// Its signals are the kernel's too: dispositions there are its own (no CLONE_SIGHAND), its mask mirrors the coroutine's.
// Only what has a handler, or whose host disposition the parent keeps as a handler of ours, is latched and acted on here, at
// the exit to the guest. A signal that only the mask of a ppoll, pselect or epoll_pwait lets through waits until the
// coroutine's own mask does.
//
// Its parent's threads it knows by ids that the kernel does not: what it does to them by ptrace and tgkill, and what /proc says of
// them, is answered here (same_memory_tracer.cc, syscalls/proc_self.h).
#include <asm/errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/host/handoff.h"
#include "runtime/memory/arena.h"
#include "runtime/process/process.h"
#include "runtime/signal/host_signals.h"
#include "runtime/sync/futex.h"
#include "runtime/syscalls/proc_self.h"

namespace ocrun {

namespace {

// Handlers for these are always ours (signal/actions.cc); SIGILL because of rewritten windows (seccomp/rewrite/plan.h).
constexpr u64 kAlwaysOurs = signal_bit(SIGILL) | signal_bit(SIGSYS) | signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(kInternalSignal);

// Calls that no handler's SA_RESTART repeats (signal(7)).
bool never_restarts(u32 nr) {
    switch (nr) {
        case __NR_nanosleep:
        case __NR_clock_nanosleep:
        case __NR_poll:
        case __NR_ppoll:
        case __NR_select:
        case __NR_pselect6:
        case __NR_epoll_wait:
        case __NR_epoll_pwait:
        case __NR_epoll_pwait2:
        case __NR_pause:
        case __NR_rt_sigsuspend:
        case __NR_rt_sigtimedwait:
        case __NR_semop:
        case __NR_semtimedop:
        case __NR_msgsnd:
        case __NR_msgrcv:
        case __NR_io_getevents:
        case __NR_io_pgetevents:
            return true;
    }
    return false;
}

bool latch_empty(KThread* t) {
    return t->latch_in.load(std::memory_order_acquire) == t->latch_out.load(std::memory_order_relaxed);
}

long native_direct(Call& call) {
    KThread* t = this_thread();
    long r = native_interruptible(call);
    if (r != -EINTR || (!t->latched.load(std::memory_order_relaxed) && latch_empty(t))) return r;
    return never_restarts(call.nr) ? kRestartNoHand : kRestartSys;
}

long suspend(Call& call) {
    u64 set;
    if (call.a[1] != 8) return -EINVAL;
    if (get_guest(&set, (void*)call.a[0])) return -EFAULT;
    signal_set_temporary_mask(call.c, set);
    oc_syscall_intr(__NR_pause, 0, 0, 0, 0, 0, 0);
    return kRestartNoHand;
}

// What the kernel does by default, done by the kernel.
void default_action(int sig) {
    KThread* t = this_thread();
    u64 all_but = ~signal_bit(sig);
    host_set_action(sig, false, false, 0);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all_but, nullptr, 8);
    sys(__NR_tgkill, sys(__NR_getpid), sys(__NR_gettid), sig);
    host_set_mask(t->host_mask);
}

void act(Coroutine* c, const siginfo_t& info) {
    int sig = info.si_signo;
    SignalAction action = signal_direct_take_action(sig);
    if (action.handler == (u64)SIG_IGN) return;
    if (action.handler == (u64)SIG_DFL) return default_action(sig);
    if (c->restart) {
        if (c->restart == kRestartSys && (action.flags & SA_RESTART)) {
            c->regs.rax = c->restart_nr;
            c->regs.rip -= 2;
        } else {
            c->regs.rax = u64(-EINTR);
        }
        c->restart = 0;
    }
    if (!signal_push_frame(c, info, action)) die_by_signal(SIGSEGV);
}

void meet_futexes(const Call& call) {
    u32 command = u32(call.a[1]) & FUTEX_CMD_MASK;
    bool futex = call.nr == __NR_futex;
    if (futex && command >= FUTEX_LOCK_PI && command != FUTEX_WAIT_BITSET && command != FUTEX_WAKE_BITSET) return;
    futexes_meet_child(call.a[0], futex ? command == FUTEX_WAKE || command == FUTEX_WAKE_BITSET : call.nr == __NR_futex_wake);
}

long set_action(const Call& call) {
    SignalAction* actions = (SignalAction*)this_thread()->direct_actions;
    i32 sig = i32(call.a[0]);
    if (call.a[3] != 8 || sig < 1 || sig > kSignals) return -EINVAL;
    SignalAction fresh, old = actions[sig];
    if (call.a[1]) {
        if (kUnblockable & signal_bit(sig)) return -EINVAL;
        if (get_guest(&fresh, (void*)call.a[1])) return -EFAULT;
        actions[sig] = fresh;
        u64 carried = sig == SIGCHLD ? fresh.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT) : 0;
        if (!(kAlwaysOurs & signal_bit(sig))) host_set_action(sig, fresh.handler > 1, fresh.handler == (u64)SIG_IGN, carried);
    }
    return call.a[2] ? put_guest((void*)call.a[2], old) : 0;
}

// What /proc says of its parent's threads, which the kernel does not know.
long open_thread_file(Call& call, int path_index, u64 flags) {
    ProcPath p;
    if (g_multi) proc_path(call.c, call.a[path_index], &p);
    switch (p.kind) {
        case ProcKind::thread_comm:
        case ProcKind::thread_stat:
        case ProcKind::status:
            if (!(flags & (O_PATH | O_DIRECTORY))) return proc_open_text(call.c, p, flags);
            [[fallthrough]];
        case ProcKind::thread:
            call.a[path_index] = u64(p.instead);
            return native(call);
        default:
            return native_direct(call);
    }
}

}  // namespace

bool direct_take_latched(u64 set, siginfo_t* info) {
    KThread* t = this_thread();
    // The handler only appends behind latch_in, so what is before it may be moved.
    u32 in = t->latch_in.load(std::memory_order_acquire), out = t->latch_out.load(std::memory_order_relaxed);
    for (u32 i = out; i != in; i++) {
        *info = t->latch[i % KThread::kLatchSlots];
        if (!(set & signal_bit(info->si_signo))) continue;
        for (; i != out; i--) t->latch[i % KThread::kLatchSlots] = t->latch[(i - 1) % KThread::kLatchSlots];
        t->latch_out.store(out + 1, std::memory_order_release);
        return true;
    }
    return false;
}

void direct_signals(Coroutine* c) {
    KThread* t = this_thread();
    t->latched.store(0, std::memory_order_seq_cst);
    t->need_resched.store(false, std::memory_order_relaxed);
    siginfo_t info;
    while (direct_take_latched(~c->mask, &info)) act(c, info);
    if (t->async_blocked) {
        t->async_blocked = false;
        host_set_mask(t->host_mask);
    }
}

long direct_call(Call& call) {
    Coroutine* c = call.c;
    switch (call.nr) {
        case __NR_rt_sigaction:
            return set_action(call);
        case __NR_rt_sigprocmask:
            return h_rt_sigprocmask(call);
        case __NR_sigaltstack:
            return h_sigaltstack(call);
        case __NR_clone:
            return h_clone(call);
        case __NR_clone3:
            return h_clone3(call);
        case __NR_fork:
        case __NR_vfork:  // memory of its own costs little and asks for no second level of sharing
            return h_fork(call);
        case __NR_execve:
            return h_execve(call);
        case __NR_execveat:
            return h_execveat(call);
        case __NR_arch_prctl:
            return h_arch_prctl(call);
        case __NR_rseq:
            return h_rseq(call);
        case __NR_gettid:
            return c->tid;
        case __NR_ptrace:
            // Its parent waits for it in the kernel, and every call that traps is a stop to its tracer, who mostly is that parent:
            // natively there is none before the exec.
            if (call.a[0] != PTRACE_TRACEME) {
                long r;
                return same_memory_ptrace(call, &r) ? r : native_direct(call);
            }
            c->trace_me = true;
            return 0;
        case __NR_wait4: {
            long r;
            return same_memory_wait(call, &r) ? r : native_direct(call);
        }
        case __NR_tkill: {
            long r;
            return same_memory_tgkill(call, u32(call.a[0]), i32(call.a[1]), &r) ? r : native_direct(call);
        }
        case __NR_tgkill: {
            long r;
            return u32(call.a[0]) == g_pid && same_memory_tgkill(call, u32(call.a[1]), i32(call.a[2]), &r) ? r : native_direct(call);
        }
        case __NR_open:
            return open_thread_file(call, 0, call.a[1]);
        case __NR_openat:
            return open_thread_file(call, 1, call.a[2]);
        case __NR_getdents:
        case __NR_getdents64:
            return proc_getdents(call);
        case __NR_prctl: {
            long r = native_direct(call);
            if (i32(call.a[0]) == PR_SET_PDEATHSIG && !is_error(r)) parent_death_asked(c, u32(call.a[1]));
            return r;
        }
        case __NR_exit:
        case __NR_exit_group:
            for (;;) native(call);
        case __NR_close:
        case __NR_dup:
        case __NR_fcntl:
            if (u32(call.a[1]) == F_SETFL && !is_hidden_fd(i32(call.a[0]))) {
                long r = native(call);
                __atomic_fetch_add(&tree_shared()->options_changed, 1, __ATOMIC_SEQ_CST);
                return r;
            }
            [[fallthrough]];
        case __NR_fstat:
            return is_hidden_fd(i32(call.a[0])) ? -EBADF : native(call);
        case __NR_dup2:
        case __NR_dup3:
            return is_hidden_fd(i32(call.a[0])) || is_hidden_fd(i32(call.a[1])) ? -EBADF : native(call);
        case __NR_close_range:
            return hidden_fds_close_range(u32(call.a[0]), u32(call.a[1]), call.a[2]);
        case __NR_mmap:
        case __NR_munmap:
        case __NR_mprotect:
        case __NR_pkey_mprotect:
        case __NR_mremap:
        case __NR_madvise: {
            long r;
            return arena_call(call.nr, call.a, &r) ? r : native(call);
        }
        case __NR_futex:
        case __NR_futex_waitv:
        case __NR_futex_wake:
        case __NR_futex_wait:
        case __NR_futex_requeue:
            if (g_multi) meet_futexes(call);
            return native_direct(call);
        case __NR_rt_sigsuspend:
            return suspend(call);
        default:
            return native_direct(call);
    }
}

}  // namespace ocrun
