// deliver.cc - generation, pending sets, frames and sigreturn (see signals.h)
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/host_signals.h"
#include "runtime/signal/pending.h"
#include "runtime/signal/signals.h"

namespace ocrun {

PendingSignals g_shared_pending;

namespace {

constexpr u64 kStops = signal_bit(SIGSTOP) | signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU);
constexpr u64 kSynchronous = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) | signal_bit(SIGTRAP) |
                             signal_bit(SIGFPE) | signal_bit(SIGSYS);
constexpr u64 kSaRestorer = 0x04000000;
constexpr u32 kMagic1 = 0x46505853, kMagic2 = 0x46505845;  // FP_XSTATE_MAGIC1/2
constexpr size_t kSwReserved = 464;
constexpr size_t kLegacyBytes = 512;
constexpr u64 kUserCs = 0x33, kUserSs = 0x2b;
// uc_flags: UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS (arch/x86/include/uapi/asm/ucontext.h).
constexpr u64 kUcFlags = 7;
constexpr u64 kEflagsDf = 0x400, kEflagsRf = 0x10000, kEflagsTf = 0x100;
// What a sigreturn may set: OF DF TF SF ZF AF PF CF RF AC (arch/x86/kernel/signal.c, FIX_EFLAGS).
constexpr u64 kFixEflags = 0x40000 | 0x800 | 0x400 | 0x100 | 0x80 | 0x40 | 0x10 | 0x4 | 0x1 | 0x10000;

// What the kernel puts on the stack (struct rt_sigframe).
struct Frame {
    u64 return_address;
    u64 uc_flags, uc_link;
    u64 ss_sp;
    u32 ss_flags, ss_pad;
    u64 ss_size;
    GuestRegs regs;
    u64 fpstate;
    u64 reserved[8];
    u64 sigmask;
    u8 info[128];
};
static_assert(sizeof(Frame) == 440 && offsetof(Frame, regs) == 48 && offsetof(Frame, sigmask) == 304 &&
              offsetof(Frame, info) == 312);

bool on_alt_stack(const Coroutine* c, u64 sp) { return c->alt.size && sp > c->alt.sp && sp - c->alt.sp <= c->alt.size; }

u32 alt_flags(const Coroutine* c, u64 sp) {
    if (!c->alt.size) return SS_DISABLE;
    return (on_alt_stack(c, sp) ? SS_ONSTACK : 0) | (c->alt.flags & 0x80000000u);
}

// The frame shows x87 and SSE state as present always, so that what a handler writes there counts, whether or not it knows of the
// header (arch/x86/kernel/fpu/signal.c, save_xstate_epilog). x87 state that was not in use is not in the area: its initial one.
void show_legacy_state(u8* area) {
    constexpr size_t kMxcsr = 24, kX87Registers = 32, kX87RegisterBytes = 128;
    u64* features = (u64*)(area + kLegacyBytes);
    if (!(*features & 1)) {
        memset(area, 0, kMxcsr);
        *(u16*)area = 0x37f;
        memset(area + kX87Registers, 0, kX87RegisterBytes);
    }
    *features |= 3;
}

bool push_xstate(Coroutine* c, u64 at) {
    size_t n = xsave_exact_bytes();
    show_legacy_state(c->xsave);
    struct {
        u32 magic1, extended_size;
        u64 xfeatures;
        u32 xstate_size, padding[7];
    } sw{kMagic1, u32(n + 4), xsave_features(), u32(n), {}};
    static_assert(sizeof sw == 48);
    memcpy(c->xsave + kSwReserved, &sw, sizeof sw);
    if (copy_to_guest((void*)at, c->xsave, n)) return false;
    return put_guest((void*)(at + n), kMagic2) == 0;
}

bool push_frame(Coroutine* c, const siginfo_t& info, const SignalAction& action) {
    bool use_alt = (action.flags & SA_ONSTACK) && c->alt.size;
    bool nested = on_alt_stack(c, c->regs.rsp);
    u64 sp = c->regs.rsp - 128;
    if (use_alt && !nested) sp = c->alt.sp + c->alt.size;
    u64 fp = (sp - (xsave_exact_bytes() + 4)) & ~63ul;
    u64 at = ((fp - sizeof(Frame)) & ~15ul) - 8;
    // Overflowing the alternate stack is a fault, not a scribble below it.
    if ((use_alt || nested) && !on_alt_stack(c, at) && (nested || use_alt)) return false;
    if (c->xstate_live) save_live_xstate(c);
    if (!push_xstate(c, fp)) return false;

    Frame f;
    memset(&f, 0, sizeof f);
    f.return_address = action.restorer;
    f.uc_flags = kUcFlags;
    f.ss_sp = c->alt.sp;
    f.ss_flags = alt_flags(c, c->regs.rsp);
    f.ss_size = c->alt.size;
    u64 old_mask = c->restore_mask ? c->saved_mask : c->mask;
    f.regs = c->regs;
    f.regs.cs_gs_fs_ss = kUserCs | kUserSs << 48;
    f.regs.oldmask = old_mask;
    f.fpstate = fp;
    f.sigmask = old_mask;
    memcpy(f.info, &info, sizeof f.info);
    if (copy_to_guest((void*)at, &f, sizeof f)) return false;

    if (setxid_signal(info.si_signo) && info.si_code == SI_TKILL) c->in_setxid = true;
    reset_xstate(c);  // a handler starts with initial extended state (arch/x86/kernel/signal.c, fpu__clear_user_states)
    c->restore_mask = false;
    if (c->alt.flags & 0x80000000u) c->alt = {0, 0, 0};  // SS_AUTODISARM
    c->regs.rsp = at;
    c->regs.rip = action.handler;
    c->regs.rdi = (u64)info.si_signo;
    c->regs.rsi = at + offsetof(Frame, info);
    c->regs.rdx = at + offsetof(Frame, uc_flags);
    c->regs.rax = 0;
    c->regs.eflags &= ~(kEflagsDf | kEflagsRf | kEflagsTf);
    u64 mask = c->mask | action.mask;
    if (!(action.flags & SA_NODEFER)) mask |= signal_bit(info.si_signo);
    signal_set_mask(c, mask);
    return true;
}

void stop_process(int sig) {
    // The real thing: the parent sees a stop by this very signal, and an orphaned group is left alone by the kernel.
    u64 host = this_thread()->host_mask;
    {
        Locked held(g_signal_lock);
        host_action_to_default(sig);
    }
    host_set_mask(host & ~signal_bit(sig));
    sys(__NR_tgkill, sys(__NR_getpid), sys(__NR_gettid), sig);
    host_set_mask(host);
    Locked held(g_signal_lock);
    host_sync_action(sig);
}

// Signal lock held. May the process drop it right away?
bool drop_at_once(int sig, const Coroutine* target) {
    if (!signal_is_ignored(sig)) return false;
    if (target) return !((target->mask | target->sigwait_set) & signal_bit(sig));
    Locked walk(g_registry_lock);
    for (Coroutine& c : registry())
        if ((c.mask | c.sigwait_set) & signal_bit(sig)) return false;
    return true;
}

// Signal lock held. A stop cancels a pending continue and the reverse (kernel/signal.c, prepare_signal).
void cancel_opposites(int sig) {
    u64 opposite = sig == SIGCONT ? kStops : (kStops & signal_bit(sig)) ? signal_bit(SIGCONT) : 0;
    if (!opposite) return;
    pending_remove(&g_shared_pending, opposite);
    Locked walk(g_registry_lock);
    for (Coroutine& c : registry()) pending_remove(&c.pending, opposite);
}

// Multi mode: signals of timers that were taken from the kernel and are not delivered yet.
std::atomic<u64> g_timer_pending{0};

// Signal lock held. What the kernel held back while `out`, which a timer sent, was pending belongs to it as natively: further
// expirations are overruns, a second signal of a standard number is none.
void absorb_held(siginfo_t* out) {
    constexpr int kMost = 64;
    const u64 set = signal_bit(out->si_signo);
    const struct {
        i64 seconds, nanoseconds;
    } none{0, 0};
    siginfo_t more;
    for (int i = 0; i < kMost && sys(__NR_rt_sigtimedwait, &set, &more, &none, 8) == out->si_signo; i++) {
        if (more.si_code == SI_TIMER && out->si_code == SI_TIMER && more.si_timerid == out->si_timerid) {
            out->si_overrun += 1 + more.si_overrun;
            return;  // a short timer has sent the next one by now
        }
        if (out->si_signo < kFirstRealtime && more.si_code != SI_TIMER) return;
        Coroutine* target = more.si_code == SI_TIMER ? timer_signal_target(more) : nullptr;
        pending_add(target ? &target->pending : &g_shared_pending, more);
        if (target) wake_for_signal(target);
    }
}

void publish_shared() { g_shared_pending_bits.store(g_shared_pending.bits, std::memory_order_seq_cst); }

}  // namespace

void signal_post_thread(Coroutine* c, const siginfo_t& info) {
    int sig = info.si_signo;
    Locked held(g_signal_lock);
    cancel_opposites(sig);
    if (drop_at_once(sig, c)) return timer_signals_settled(signal_bit(sig));
    pending_add(&c->pending, info);
    if ((~c->mask | c->sigwait_set) & signal_bit(sig)) wake_for_signal(c);
}

void signal_post_process(const siginfo_t& info) {
    int sig = info.si_signo;
    Locked held(g_signal_lock);
    cancel_opposites(sig);
    if (drop_at_once(sig, nullptr)) return timer_signals_settled(signal_bit(sig));
    pending_add(&g_shared_pending, info);
    publish_shared();
    // Somebody who waits for it first, else the main thread, else anybody who does not block it.
    Coroutine* target = nullptr;
    Locked walk(g_registry_lock);
    for (Coroutine& c : registry()) {
        if (c.sigwait_set & signal_bit(sig)) {
            target = &c;
            break;
        }
        if (!(c.mask & signal_bit(sig)) && (!target || c.is_main)) target = &c;
    }
    if (target) wake_for_signal(target);
}

void signal_retarget(Coroutine* from, u64 set) {
    if (!(g_shared_pending_bits.load(std::memory_order_seq_cst) & set)) return;
    Locked held(g_signal_lock);
    set &= g_shared_pending.bits;
    Locked walk(g_registry_lock);
    for (Coroutine& c : registry()) {
        u64 takes = set & (~c.mask | c.sigwait_set);
        if (&c == from || !takes) continue;
        wake_for_signal(&c);
        set &= ~takes;
        if (!set) return;
    }
}

namespace {

// Signal lock held. The next signal of `set`: the coroutine's own first, faults first, then the lowest number. 0: none.
int next_signal(Coroutine* c, u64 set, PendingSignals** from) {
    for (PendingSignals* p : {&c->pending, &g_shared_pending}) {
        u64 ready = p->bits & set;
        if (!ready) continue;
        if (ready & kSynchronous) ready &= kSynchronous;
        *from = p;
        return __builtin_ctzl(ready) + 1;
    }
    return 0;
}

}  // namespace

bool signal_take(Coroutine* c, u64 set, siginfo_t* out) {
    Locked held(g_signal_lock);
    PendingSignals* from;
    int sig = next_signal(c, set, &from);
    if (!sig) return false;
    bool taken = pending_take(from, sig, out);
    if (g_multi && taken && signal_from_timer(*out) && (g_timer_pending.load(std::memory_order_seq_cst) & signal_bit(sig))) {
        absorb_held(out);
        timer_signals_settled(signal_bit(sig));
    }
    publish_shared();
    if (taken && out->si_code == SI_TIMER) timer_signal_delivered(*out);
    return taken;
}

void timer_signals_reset() { g_timer_pending.store(0, std::memory_order_relaxed); }

void timer_signals_settled(u64 set) {
    set &= g_timer_pending.load(std::memory_order_seq_cst);
    if (!set) return;
    g_timer_pending.fetch_and(~set, std::memory_order_seq_cst);
    for (u32 i = 0; i < workers_started(); i++)
        if (KThread* t = worker_at(i); t != this_thread() && (__atomic_load_n(&t->held, __ATOMIC_SEQ_CST) & set)) worker_kick(t);
}

u64 signal_next_flags(Coroutine* c) {
    Locked held(g_signal_lock);
    PendingSignals* from;
    int sig = next_signal(c, ~c->mask, &from);
    return sig ? g_actions[sig].flags : 0;
}

u64 signal_pending_set(Coroutine* c) {
    Locked held(g_signal_lock);
    return c->pending.bits | g_shared_pending.bits;
}

void signal_drain() {
    KThread* t = this_thread();
    t->latched.store(0, std::memory_order_seq_cst);
    for (;;) {
        u32 out = t->latch_out.load(std::memory_order_relaxed);
        if (out == t->latch_in.load(std::memory_order_acquire)) break;
        siginfo_t info = t->latch[out % KThread::kLatchSlots];
        t->latch_out.store(out + 1, std::memory_order_release);
        Coroutine* target = nullptr;
        if (!g_multi) {
            target = this_coroutine();
        } else if (info.si_code == SI_TKILL) {
            // A thread-directed signal from outside can only name the main thread: the others have no kernel thread.
            Locked walk(g_registry_lock);
            for (Coroutine& c : registry())
                if (c.is_main) target = &c;
        } else if (info.si_code == SI_TIMER) {
            target = timer_signal_target(info);
        } else if ((info.si_signo == SIGPIPE || info.si_signo == SIGXFSZ) && info.si_code == SI_USER && info.si_pid == i32(sys(__NR_getpid))) {
            target = this_coroutine();  // the kernel's answer to the call this worker just made for it
        }
        if (g_multi && (signal_mirror_mask() & signal_bit(info.si_signo))) {
            // It slipped through on a worker that had not blocked it yet; a signalfd waits for it in the kernel.
            if (t->host_mask != signal_mirror_mask()) host_set_mask(signal_mirror_mask());
            if (!is_error(sys(__NR_rt_sigqueueinfo, sys(__NR_getpid), info.si_signo, &info))) continue;
        }
        if (g_multi && signal_from_timer(info)) g_timer_pending.fetch_or(signal_bit(info.si_signo), std::memory_order_seq_cst);
        if (target)
            signal_post_thread(target, info);
        else
            signal_post_process(info);
    }
    // What nobody has pending any more was dropped.
    if (t->held && g_multi)
        host_release_held(t->held & ~g_timer_pending.load(std::memory_order_seq_cst));
    else if (t->held && t->current)
        host_release_held(t->held & ~signal_pending_set(this_coroutine()));
    if (g_multi && !t->async_blocked && t->host_mask != signal_mirror_mask()) host_set_mask(signal_mirror_mask());
    if (t->async_blocked) {
        t->async_blocked = false;
        host_set_mask(t->host_mask);
    }
}

void die_by_signal(int sig) {
    if (this_thread()->kind == ThreadKind::direct) {
        host_set_action(sig, false, false, 0);  // its dispositions in the kernel are its own, the tables are its parent's
    } else {
        Locked held(g_signal_lock);
        host_action_to_default(sig);
    }
    u64 all_but = ~signal_bit(sig);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all_but, nullptr, 8);
    sys(__NR_tgkill, sys(__NR_getpid), sys(__NR_gettid), sig);
    for (;;) sys(__NR_exit_group, 128 + sig);
}

bool signal_deliver(Coroutine* c, bool* handler_runs, u64* handler_flags) {
    siginfo_t info;
    if (!signal_take(c, ~c->mask, &info)) return false;
    int sig = info.si_signo;
    SignalAction action;
    {
        Locked held(g_signal_lock);
        action = g_actions[sig];
        if (action.handler > 1 && (action.flags & SA_RESETHAND)) {
            g_actions[sig].handler = (u64)SIG_DFL;
            host_sync_action(sig);
        }
    }
    if (action.handler < 2) host_release_held(signal_bit(sig));
    if (action.handler == (u64)SIG_DFL) {
        if (signal_is_ignored(sig)) return true;
        if (kStops & signal_bit(sig)) {
            stop_process(sig);
            return true;
        }
        die_by_signal(sig);
    }
    if (action.handler == (u64)SIG_IGN) return true;
    *handler_runs = true;
    *handler_flags = action.flags;
    bool pushed = push_frame(c, info, action);
    host_release_held(signal_bit(sig));
    if (!pushed) {
        siginfo_t fault;
        memset(&fault, 0, sizeof fault);
        fault.si_signo = SIGSEGV;
        fault.si_code = SI_KERNEL;
        if (sig == SIGSEGV) die_by_signal(SIGSEGV);
        signal_force(c, fault);
    }
    return true;
}

bool signal_push_frame(Coroutine* c, const siginfo_t& info, const SignalAction& action) { return push_frame(c, info, action); }

SignalAction signal_direct_take_action(int sig) {
    SignalAction& own = signal_actions_of(this_thread())[sig];
    SignalAction action = own;
    if (action.handler > 1 && (action.flags & SA_RESETHAND)) own.handler = (u64)SIG_DFL;
    return action;
}

void signal_force(Coroutine* c, const siginfo_t& info) {
    int sig = info.si_signo;
    SignalAction action;
    if (c->direct) {
        action = signal_direct_take_action(sig);
    } else {
        Locked held(g_signal_lock);
        action = g_actions[sig];
        if (action.handler > 1 && (action.flags & SA_RESETHAND)) g_actions[sig].handler = (u64)SIG_DFL;
    }
    if (action.handler < 2 || (c->mask & signal_bit(sig))) die_by_signal(sig);
    if (push_frame(c, info, action)) return;
    if (sig == SIGSEGV) die_by_signal(SIGSEGV);
    siginfo_t fault;
    memset(&fault, 0, sizeof fault);
    fault.si_signo = SIGSEGV;
    fault.si_code = SI_KERNEL;
    signal_force(c, fault);
}

namespace {

bool restore_xstate(Coroutine* c, u64 fp) {
    if (!fp) {
        reset_xstate(c);
        return true;
    }
    c->xstate_live = false;
    if (copy_from_guest(c->xsave, (void*)fp, kLegacyBytes)) return false;
    struct {
        u32 magic1, extended_size;
        u64 xfeatures;
        u32 xstate_size;
    } sw;
    memcpy(&sw, c->xsave + kSwReserved, sizeof sw);
    u32 magic2 = 0;
    bool extended = sw.magic1 == kMagic1 && sw.xstate_size >= kLegacyBytes + 64 && sw.xstate_size <= xsave_bytes() &&
                    sw.xstate_size <= sw.extended_size && get_guest(&magic2, (void*)(fp + sw.xstate_size)) == 0 &&
                    magic2 == kMagic2;
    u64* header = (u64*)(c->xsave + kLegacyBytes);
    if (extended) {
        if (copy_from_guest(header, (void*)(fp + kLegacyBytes), sw.xstate_size - kLegacyBytes)) return false;
        header[0] &= sw.xfeatures & xsave_features();
    } else {
        header[0] = 3;
    }
    for (int i = 1; i < 8; i++) header[i] = 0;
    // Bits the CPU does not have would make XRSTOR fault.
    u32* mxcsr = (u32*)(c->xsave + 24);
    static u32 mxcsr_mask;
    if (!mxcsr_mask) {
        alignas(16) u8 area[512];
        memset(area, 0, sizeof area);
        __builtin_ia32_fxsave64(area);
        mxcsr_mask = *(u32*)(area + 28) ? *(u32*)(area + 28) : 0xffbf;
    }
    *mxcsr &= mxcsr_mask;
    return true;
}

}  // namespace

void signal_return(Coroutine* c) {
    Frame f;
    u64 at = c->regs.rsp - 8;
    bool ok = copy_from_guest(&f, (void*)at, offsetof(Frame, info)) == 0;
    if (ok) {
        u64 eflags = (c->regs.eflags & ~kFixEflags) | (f.regs.eflags & kFixEflags);
        u64 selectors = c->regs.cs_gs_fs_ss;
        c->regs = f.regs;
        c->regs.eflags = eflags;
        c->regs.cs_gs_fs_ss = selectors;
        ok = restore_xstate(c, f.fpstate);
    }
    if (!ok) {
        siginfo_t fault;
        memset(&fault, 0, sizeof fault);
        fault.si_signo = SIGSEGV;
        fault.si_code = SI_KERNEL;
        signal_force(c, fault);
        return;
    }
    if (!on_alt_stack(c, c->regs.rsp)) {
        if (f.ss_flags & SS_DISABLE)
            c->alt = {0, 0, 0};
        else
            c->alt = {f.ss_sp, f.ss_size, f.ss_flags & 0x80000000u};
    }
    c->restore_mask = false;
    c->in_setxid = false;
    signal_set_mask(c, f.sigmask);
}

void signals_prepare_exec(Coroutine* c) {
    // Blocked first, so that what goes back to the kernel stays there until the new image opens its mask.
    u64 all = ~kHostNeverBlocked;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    // A drain opens the mask when it had to be closed: until nothing came through.
    do {
        signal_drain();
        sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    } while (this_thread()->latched.load(std::memory_order_acquire));
    // The internal signal too: an agent may send it before the new image has a handler for it.
    all |= signal_bit(kInternalSignal);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    siginfo_t info;
    long pid = sys(__NR_getpid), tid = sys(__NR_gettid);
    while (signal_take(c, ~0ul, &info)) {
        if (is_error(sys(__NR_rt_tgsigqueueinfo, pid, tid, info.si_signo, &info))) sys(__NR_tgkill, pid, tid, info.si_signo);
    }
    Locked held(g_signal_lock);
    for (int sig = 1; sig <= kSignals; sig++)
        if (g_actions[sig].handler == (u64)SIG_IGN && sig != SIGSYS) host_set_action(sig, false, true, 0);
}

}  // namespace ocrun
