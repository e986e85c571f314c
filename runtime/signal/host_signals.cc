// host_signals.cc - the handlers (see host_signals.h)
//
// A handler finds one of these situations:
//   guest code        state is saved into the coroutine and the frame is abandoned for oc_exit_loop (or the fault path)
//   [oc_exit_begin..) the exit is sent back to its start (oc_exit_again): the coroutine still holds everything
//   [oc_table_exit..) the same for a call through libocrun's table (oc_table_again)
//   [oc_intr_begin..) the interruptible call is made to return -EINTR
//   a guest copy      a fault resumes at oc_copy_fault
//   other runtime     the signal is latched; the next exit or idle look takes it
#include "runtime/signal/host_signals.h"

#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/memory/arena.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

void (*g_dump_hook)(const siginfo_t&);

extern "C" void oc_sigreturn();

namespace {

struct KernelSigaction {
    void* handler;
    u64 flags;
    void (*restorer)();
    u64 mask;
};
constexpr u64 kSaRestorer = 0x04000000;

bool within(u64 rip, const char* begin, const char* end) { return rip >= (u64)begin && rip < (u64)end; }

// Raised by the interrupted instruction itself, not by kill(2) and its relatives.
bool kernel_fault(int sig, const siginfo_t* info) {
    return info->si_code > 0 && (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP);
}

// Signals of timers come so fast that taking them leaves the guest no time: it makes no call between so many of them, not even the
// return from a handler.
bool timer_storm(KThread* t) {
    constexpr u32 kStorm = 8;
    if (t->storm_calls != t->calls) {
        t->storm_calls = t->calls;
        t->storm_count = 0;
    }
    return ++t->storm_count > kStorm;
}

void latch(KThread* t, const siginfo_t& info, ucontext_t* uc) {
    if (signal_from_timer(info) && t->kind == ThreadKind::worker) {
        u64 bit = signal_bit(info.si_signo) & ~kHostNeverBlocked;
        if (timer_signal_held_back(info)) {
            t->held |= bit;
        } else if (timer_storm(t)) {
            t->held |= bit;
            t->storm_held |= bit;
        }
        *(u64*)&uc->uc_sigmask |= t->held;
    }
    u32 in = t->latch_in.load(std::memory_order_relaxed);
    if (in - t->latch_out.load(std::memory_order_acquire) < KThread::kLatchSlots) {
        siginfo_t& place = t->latch[in % KThread::kLatchSlots];
        place = info;
        if (info.si_code == SI_TIMER && t->kind == ThreadKind::worker) timer_signal_stamp(&place);
        t->latch_in.store(in + 1, std::memory_order_release);
    }
    // Some are left for what cannot be blocked, and for a mask that opens at the same moment (host_set_mask).
    constexpr u32 kSpareSlots = 16;
    if (in + 1 - t->latch_out.load(std::memory_order_acquire) >= KThread::kLatchSlots - kSpareSlots) {
        // Full: from here on the kernel keeps them. signal_drain opens the mask again.
        t->async_blocked = true;
        *(u64*)&uc->uc_sigmask = ~kHostNeverBlocked;
    }
}

// A guest's signal that the kernel gave to a helper, which can block neither signal 64 nor those of faults.
void forward(siginfo_t info) {
    // Refused for what kill(2) and its relatives sent: then whoever the kernel chooses, a worker as soon as one is free to take it.
    if (is_error(sys(__NR_rt_tgsigqueueinfo, sys(__NR_getpid), worker_at(0)->tid, info.si_signo, &info))) signal_send_again(info);
}

// A stub's address is none that the guest may see: it was about to do what stands at the address of the original.
void save_guest(GuestContext* c, const ucontext_t* uc) {
    save_context(c, uc);
    c->regs.rip = rewrite_guest_rip(c->regs.rip);
}

void after_guest_signal(GuestContext* g) {
    KThread* t = this_thread();
    u64 mask = t->host_mask | t->held;
    if (!t->async_blocked) sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, 8);
    oc_exit_loop(g);
}

void after_guest_fault(GuestContext* g) {
    KThread* t = this_thread();
    u64 mask = t->host_mask | t->held;
    if (!t->async_blocked) sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, 8);
    Coroutine* c = static_cast<Coroutine*>(g);
    siginfo_t info;
    memcpy(&info, c->fault_info, sizeof info);
    if (info.si_signo == SIGSEGV && info.si_code == SEGV_MAPERR && arena_guards((u64)info.si_addr)) info.si_code = SEGV_ACCERR;
    signal_force(c, info);
    oc_exit_loop(g);
}

void runtime_fault(int sig, const siginfo_t* info, const ucontext_t* uc) {
    const greg_t* g = uc->uc_mcontext.gregs;
    TextBuffer<512> text;
    text.add("internal error: the runtime got signal ").dec(sig).add(" at ").hex((u64)g[REG_RIP]).add(", address ").hex((u64)info->si_addr);
    if (Coroutine* c = this_coroutine()) text.add(", thread ").dec(c->tid).add(" in system call ").dec(c->call_nr);
    u64 frame = (u64)g[REG_RBP];
    for (int i = 0; i < 12 && frame > 4096; i++) {
        u64 pair[2];
        if (copy_from_guest(pair, (void*)frame, sizeof pair)) break;
        text.add(" < ").hex(pair[1]);
        if (pair[0] <= frame) break;
        frame = pair[0];
    }
    log_line(text);
    host_set_action(sig, false, false, 0);
}

// Of thread_interrupt: the kernel had an entry for it, or not (then SIGBUS, as if from nobody).
bool is_kick(const siginfo_t& info) {
    if (info.si_code != SI_TKILL && info.si_code != SI_USER) return false;
    return info.si_pid == int(sys(__NR_getpid)) || (info.si_code == SI_USER && !info.si_pid);
}

}  // namespace

extern "C" void oc_on_host_signal(int sig, siginfo_t* info, ucontext_t* uc) {
    KThread* t = static_cast<KThread*>(trap_thread_of_stack(__builtin_frame_address(0)));
    greg_t* regs = uc->uc_mcontext.gregs;
    u64 rip = (u64)regs[REG_RIP];
    bool in_rt = in_runtime(rip);
    u64 gs = read_gs_base();
    if (gs != (u64)t) {
        if (!in_rt && t->current) t->current->gs_base = gs;
        write_gs_base((u64)t);
    }

    if (kernel_fault(sig, info)) {
        // Not by a return from the handler: a debugger may stop that call, and FS would be lost again, for ever.
        if (!in_rt && (sig == SIGSEGV || sig == SIGBUS) && t->current && fs_is_lost(t->current)) {
            save_guest(t->current, uc);
            leave_handler(t->current, after_guest_signal);
        }
        // The second instruction of a window that became a jump: its copy goes on.
        if (u64 copy = sig == SIGILL ? rewrite_punned_copy(rip) : 0) {
            regs[REG_RIP] = (greg_t)copy;
            return;
        }
        if (within(rip, oc_copy_begin, oc_copy_end)) {
            regs[REG_RIP] = (greg_t)oc_copy_fault;
            return;
        }
        Coroutine* c = static_cast<Coroutine*>(t->current);
        bool exiting = within(rip, oc_exit_begin, oc_exit_end);
        if (in_rt && !exiting) {
            runtime_fault(sig, info, uc);
            return;
        }
        if (__builtin_expect(c->trace_me, 0) && !c->direct && !in_rt) {
            // Its tracer hears of it first: once more, behind an int3 too.
            tracing_begins(c);
            if (sig == SIGTRAP && info->si_code == SI_KERNEL) regs[REG_RIP]--;
            return;
        }
        if (signal_actions_of(t)[sig].handler < 2 || (c->mask & signal_bit(sig))) {
            // The kernel would kill: let it, with the guest's own registers in the core. A trap (int3, a single step)
            // does not happen again.
            if (exiting || sig == SIGTRAP) die_by_signal(sig);
            host_set_action(sig, false, false, 0);
            return;
        }
        if (!exiting)
            save_guest(c, uc);
        else if (c->xstate_live)
            save_xstate(c, uc);
        memcpy(c->fault_info, info, sizeof *info);
        leave_handler(c, after_guest_fault);
    }

    __atomic_store_n(&t->signals_seen, t->signals_seen + 1, __ATOMIC_RELAXED);
    if (sig == SIGBUS && g_multi && t->kind != ThreadKind::direct && is_kick(*info)) {
        t->kicked.store(false, std::memory_order_seq_cst);
    } else if (sig == kInternalSignal) {
        if (info->si_code == SI_TIMER && info->si_value.sival_int == kInternalTick) {
            t->need_resched.store(true, std::memory_order_relaxed);
            __atomic_store_n(&t->ticks, t->ticks + 1, __ATOMIC_RELAXED);
        } else if (info->si_code == SI_QUEUE && info->si_value.sival_int == kInternalDump) {
            if (g_dump_hook) g_dump_hook(*info);
            if (!t->latched.load(std::memory_order_relaxed)) {
                // The guest, or an exit on its last instructions, goes on as if nothing had been.
                if (gs != (u64)t) write_gs_base(gs);
                return;
            }
            // A signal that the request let through (SIGSEGV by kill ...) wants what any latched signal wants.
        } else if (info->si_code == SI_QUEUE && info->si_value.sival_int == kInternalObserve) {
            // An agent of BPF: attended to where no lock is held (sched/mirror.h), by a worker.
            if (t->helper()) {
                forward(*info);
                return;
            }
            if (t->kind == ThreadKind::direct) return;
        } else if (info->si_code == SI_QUEUE && info->si_value.sival_int == kInternalKick) {
            // Only the interruption matters. Before `latched` is set: who finds a kick on its way counts on that.
            t->kicked.store(false, std::memory_order_seq_cst);
        } else if (info->si_code == SI_KERNEL) {
            // Sent by a BPF program: the tick on this CPU, or a word to the monitor.
            if (t->kind == ThreadKind::worker) t->need_resched.store(true, std::memory_order_relaxed);
        } else if (t->helper()) {
            forward(*info);
            return;
        } else {
            latch(t, *info, uc);
        }
    } else if (t->helper()) {
        forward(*info);
        return;
    } else {
        latch(t, *info, uc);
    }
    t->latched.store(1, std::memory_order_release);

    if (!in_rt) {
        if (t->helper()) return;
        GuestContext* c = t->current;
        save_guest(c, uc);
        leave_handler(c, after_guest_signal);
    }
    if (within(rip, oc_exit_begin, oc_exit_end)) {
        regs[REG_RIP] = (greg_t)oc_exit_again;
        regs[REG_EFL] &= ~0x100;  // the exit may have been about to single-step the guest
    } else if (within(rip, oc_table_exit_begin, oc_table_exit_end)) {
        regs[REG_RIP] = (greg_t)oc_table_again;
    } else if (within(rip, oc_intr_begin, oc_intr_end)) {
        regs[REG_RIP] = (greg_t)((u64)regs[REG_RCX] == (u64)oc_intr_end ? oc_intr_abort : oc_intr_never);
    }
}

void host_set_action(int sig, bool ours, bool ignore, u64 extra_flags) {
    KernelSigaction act{};
    act.restorer = oc_sigreturn;
    act.flags = kSaRestorer | extra_flags;
    if (ours) {
        act.handler = (void*)oc_on_host_signal;
        // SA_RESTART: an unhooked call the kernel runs for the guest is restarted; calls of the runtime that must end
        // go through oc_syscall_intr.
        act.flags |= SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        // Handlers exclude each other, so many queued signals cannot stack up frames; faults and traps stay open.
        act.mask = ~kHostNeverBlocked | signal_bit(kInternalSignal);
    } else if (ignore) {
        act.handler = (void*)SIG_IGN;
    }
    sys(__NR_rt_sigaction, sig, &act, nullptr, 8);
}

void host_install_own() {
    host_set_action(SIGSEGV, true, false, SA_NODEFER);
    host_set_action(SIGBUS, true, false, SA_NODEFER);
    host_set_action(kInternalSignal, true, false, 0);
}

}  // namespace ocrun
