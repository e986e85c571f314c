// actions.cc - dispositions and masks, and what follows from them on the host (see signals.h)
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/signal/host_signals.h"
#include "runtime/signal/pending.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/signals.h"

namespace ocrun {

Lock g_signal_lock;
SignalAction g_actions[kSignals + 1];

namespace {

// Signals some coroutine blocked or awaited in multi mode: their host disposition stays a handler of ours, because
// a default action must not strike while they are blocked. Never shrinks; a handler is as good as the default.
u64 g_kept;

constexpr u64 kDefaultIgnored =
    signal_bit(SIGCHLD) | signal_bit(SIGURG) | signal_bit(SIGWINCH) | signal_bit(SIGCONT);
// Their handlers are always ours: faults of copies, traps, ticks.
constexpr u64 kAlwaysOurs = signal_bit(SIGSYS) | signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(kInternalSignal);

enum class Host : u8 { dfl, ign, ours };
struct HostState {
    Host kind;
    u64 flags;
};
HostState g_host[kSignals + 1];

HostState wanted(int sig) {
    const SignalAction& a = g_actions[sig];
    if (a.handler == (u64)SIG_IGN && (sig == SIGCHLD || !(g_kept & signal_bit(sig)))) return {Host::ign, 0};
    u64 carried = sig == SIGCHLD ? a.flags & (SA_NOCLDSTOP | SA_NOCLDWAIT) : 0;
    if (a.handler == (u64)SIG_DFL && !(g_kept & signal_bit(sig))) return {Host::dfl, carried};
    return {Host::ours, carried};
}

}  // namespace

bool signal_is_ignored(int sig) {
    u64 h = g_actions[sig].handler;
    return h == (u64)SIG_IGN || (h == (u64)SIG_DFL && (kDefaultIgnored & signal_bit(sig)));
}

void host_sync_action(int sig) {
    if ((kAlwaysOurs | kUnblockable) & signal_bit(sig)) return;
    HostState want = wanted(sig);
    if (g_host[sig].kind == want.kind && g_host[sig].flags == want.flags) return;
    host_set_action(sig, want.kind == Host::ours, want.kind == Host::ign, want.flags);
    g_host[sig] = want;
}

void host_action_to_default(int sig) {
    host_set_action(sig, false, false, 0);
    g_host[sig] = {Host::dfl, 0};
}

void host_resync_action(int sig) {
    if ((kAlwaysOurs | kUnblockable) & signal_bit(sig)) {
        host_install_own();
        return;
    }
    HostState want = wanted(sig);
    host_set_action(sig, want.kind == Host::ours, want.kind == Host::ign, want.flags);
    g_host[sig] = want;
}

void signals_init(const u64* ignored) {
    for (int sig = 1; sig <= kSignals; sig++) {
        if (kUnblockable & signal_bit(sig)) continue;
        // Ignored dispositions are inherited; everything else is the default after an exec.
        SignalAction old{};
        if (ignored)
            old.handler = (u64)(*ignored & signal_bit(sig) ? SIG_IGN : SIG_DFL);
        else
            sys(__NR_rt_sigaction, sig, nullptr, &old, 8);
        if (old.handler == (u64)SIG_IGN) {
            g_actions[sig].handler = (u64)SIG_IGN;
            g_host[sig] = {Host::ign, 0};
        }
    }
    host_install_own();
}

long signal_set_action(int sig, const SignalAction* new_action, SignalAction* old_action) {
    if (sig < 1 || sig > kSignals || (new_action && (kUnblockable & signal_bit(sig)))) return -EINVAL;
    Locked held(g_signal_lock);
    if (old_action) *old_action = g_actions[sig];
    if (!new_action) return 0;
    g_actions[sig] = *new_action;
    g_actions[sig].mask &= ~kUnblockable;
    // Flags the kernel does not know are cleared in what it reports back (kernel/signal.c, do_sigaction).
    constexpr u64 kKnownFlags = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |
                                SA_RESETHAND | 0x04000000 /* SA_RESTORER */ | 0x00000800 /* SA_EXPOSE_TAGBITS */;
    g_actions[sig].flags &= kKnownFlags;
    host_sync_action(sig);
    if (signal_is_ignored(sig)) {
        // POSIX: setting an action that ignores discards what is pending, blocked or not.
        pending_remove(&g_shared_pending, signal_bit(sig));
        g_shared_pending_bits.store(g_shared_pending.bits, std::memory_order_relaxed);
        Locked walk(g_registry_lock);
        for (Coroutine& c : registry()) pending_remove(&c.pending, signal_bit(sig));
        timer_signals_settled(signal_bit(sig));
        host_release_held(signal_bit(sig));
    }
    return 0;
}

void host_set_mask(u64 mask) {
    KThread* t = this_thread();
    t->host_mask = mask & ~kHostNeverBlocked;
    t->blocked.store(t->blocked.load(std::memory_order_relaxed) & t->host_mask, std::memory_order_seq_cst);
    u64 closed = ~kHostNeverBlocked;
    // While the latch is full, or when it fills because the mask opens, the kernel keeps what is pending.
    u64 now = t->host_mask | t->held;
    if (!t->async_blocked) sys(__NR_rt_sigprocmask, SIG_SETMASK, &now, nullptr, 8);
    if (t->async_blocked) sys(__NR_rt_sigprocmask, SIG_SETMASK, &closed, nullptr, 8);
    t->blocked.store(t->host_mask, std::memory_order_seq_cst);
}

void host_release_held(u64 set) {
    KThread* t = this_thread();
    if (!(t->held & set)) return;
    t->held &= ~set;
    t->storm_held &= ~set;
    host_set_mask(t->host_mask);
}

void signal_want(u64 set) {
    Locked held(g_signal_lock);
    set &= ~(g_kept | kUnblockable);
    g_kept |= set;
    for (; set; set &= set - 1) host_sync_action(__builtin_ctzl(set) + 1);
}

namespace {

// Signals that a signalfd reads. Blocked on the worker while no coroutine would take them.
u64 g_mirrored;
std::atomic<u64> g_mirror_mask{0};  // the part of it that every worker blocks now

void mirror_now() {
    u64 all, before;
    {
        // The exchange too: who looked last has the last word.
        Locked walk(g_registry_lock);
        all = __atomic_load_n(&g_mirrored, __ATOMIC_RELAXED);
        for (Coroutine& c : registry()) all &= c.mask & ~c.sigwait_set;
        before = g_mirror_mask.exchange(all, std::memory_order_seq_cst);
    }
    if (before == all && this_thread()->host_mask == all) return;
    host_set_mask(all);
    for (u32 i = 0; i < workers_started(); i++)
        if (worker_at(i) != this_thread()) worker_kick(worker_at(i));
}

}  // namespace

void signal_set_mask(Coroutine* c, u64 mask) {
    mask &= ~kUnblockable;
    u64 closed = mask & ~c->mask;
    // Visible before the look at the pending signals: whoever posts one looks at the masks afterwards.
    __atomic_store_n(&c->mask, mask, __ATOMIC_SEQ_CST);
    if (c->direct) {
        host_set_mask(mask);  // its kernel thread is nobody else's
        return;
    }
    if (g_multi) {
        if (closed) signal_retarget(c, closed);
        if (mask & ~g_kept) signal_want(mask);
        if (g_mirrored) mirror_now();
        return;
    }
    if ((mask & ~kHostNeverBlocked) != this_thread()->host_mask) host_set_mask(mask);
    // Faults' signals stay unblocked on the host, so their default action must not be the kernel's while the guest blocks them.
    u64 faults = mask & (signal_bit(SIGFPE) | signal_bit(SIGILL) | signal_bit(SIGTRAP)) & ~g_kept;
    if (faults) signal_want(faults);
}

void signal_mirror(u64 set) {
    __atomic_fetch_or(&g_mirrored, set & ~kHostNeverBlocked, __ATOMIC_SEQ_CST);
    if (g_multi && g_mirrored) mirror_now();
}

void signal_set_temporary_mask(Coroutine* c, u64 mask) {
    if (!c->restore_mask) {
        c->saved_mask = c->mask;
        c->restore_mask = true;
    }
    signal_set_mask(c, mask);
}

void signals_enter_multi(Coroutine* c) {
    g_multi = true;
    this_thread()->held = this_thread()->storm_held = 0;
    timer_signals_reset();
    signal_want(c->mask);
    g_mirror_mask.store(g_mirrored & c->mask, std::memory_order_seq_cst);
    host_set_mask(g_mirrored & c->mask);
}

u64 signal_mirror_mask() { return g_mirror_mask.load(std::memory_order_seq_cst); }

void signal_mirror_settle() {
    constexpr int kMostRounds = 1000;
    for (int round = 0; round < kMostRounds; round++) {
        attend();
        u64 mask = signal_mirror_mask();
        if (this_thread()->host_mask != mask) host_set_mask(mask);
        bool settled = true;
        for (u32 i = 0; i < workers_started(); i++) {
            KThread* t = worker_at(i);
            if (t == this_thread() || t->ended || !(mask & ~t->blocked.load(std::memory_order_seq_cst))) continue;
            worker_kick(t);
            settled = false;
        }
        if (settled) return;
        sys(__NR_sched_yield);
    }
}

void signals_worker_starts() {
    host_set_mask(signal_mirror_mask());
}

void signals_after_fork(Coroutine* c) {
    g_signal_lock.reset();
    posix_timers_after_fork();
    KThread* t = this_thread();
    t->latch_in.store(0, std::memory_order_relaxed);
    t->latch_out.store(0, std::memory_order_relaxed);
    t->latched.store(0, std::memory_order_relaxed);
    t->need_resched.store(false, std::memory_order_relaxed);
    t->async_blocked = false;
    t->held = t->storm_held = 0;
    pending_clear(&g_shared_pending);
    g_shared_pending_bits.store(0, std::memory_order_relaxed);
    pending_clear(&c->pending);
    c->sigwait_set = 0;
    host_set_mask(c->mask);
}

}  // namespace ocrun
