// deliver.cc - generation, pending sets, delivery (see signals.h)
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
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

// Signal lock held. What the kernel held back while `out` was pending belongs to it as natively: further expirations of its timer are
// overruns, a second signal of a standard number is none but for a timer's.
void absorb_held(siginfo_t* out) {
    constexpr int kMost = 64;
    const u64 set = signal_bit(out->si_signo);
    const struct {
        i64 seconds, nanoseconds;
    } none{0, 0};
    siginfo_t more;
    for (int i = 0; i < kMost && sys(__NR_rt_sigtimedwait, &set, &more, &none, 8) == out->si_signo; i++) {
        if (more.si_code == SI_TIMER) timer_signal_stamp(&more);
        if (more.si_code == SI_TIMER && out->si_code == SI_TIMER && more.si_timerid == out->si_timerid) {
            out->si_overrun += 1 + more.si_overrun;
            return;  // a short timer has sent the next one by now
        }
        if (out->si_signo < kFirstRealtime && more.si_code != SI_TIMER) return;
        Coroutine* target = nullptr;
        if (more.si_code == SI_TIMER && timer_signal_target(more, &target) == TimerSignal::nobodys) continue;
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
    // Seen before the mask is looked at: who opens it looks at what is pending afterwards (signal_set_mask).
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if ((~__atomic_load_n(&c->mask, __ATOMIC_RELAXED) | c->sigwait_set) & signal_bit(sig)) wake_for_signal(c);
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
    while (int sig = next_signal(c, set, &from)) {
        pending_take(from, sig, out);
        bool counts = out->si_code != SI_TIMER || timer_signal_counts(*out);
        // A timer's may have gone into another's of the same number, or be one that no longer counts.
        if (g_multi && (g_timer_pending.load(std::memory_order_seq_cst) & signal_bit(sig))) {
            if (counts && (signal_from_timer(*out) || sig < kFirstRealtime)) absorb_held(out);
            timer_signals_settled(signal_bit(sig));
        }
        if (!counts) {
            host_release_held(signal_bit(sig));
            continue;
        }
        if (out->si_code == SI_TIMER) timer_signal_delivered(out);
        publish_shared();
        return true;
    }
    publish_shared();
    return false;
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

namespace {

// Of a descriptor with O_ASYNC (fs/fcntl.c, send_sigio_to_task), or SIGURG.
bool from_descriptor(const siginfo_t& info) {
    constexpr u64 kOwnCodes = signal_bit(SIGILL) | signal_bit(SIGTRAP) | signal_bit(SIGBUS) | signal_bit(SIGFPE) | signal_bit(SIGSEGV) |
                              signal_bit(SIGCHLD) | signal_bit(SIGSYS);
    if (info.si_code == SI_KERNEL) return info.si_signo == SIGIO || info.si_signo == SIGURG;
    if (info.si_code == SI_SIGIO) return true;
    return info.si_code >= POLL_IN && info.si_code <= POLL_HUP && !(signal_bit(info.si_signo) & kOwnCodes);
}

// The coroutine whose kernel thread t is, if it asked for such signals; whether this one was for the thread or for the process the
// kernel does not tell. The main thread that asked before there were others has the first worker's thread, which the kernel
// prefers for both while the signal is not blocked.
Coroutine* descriptor_signal_target(KThread* t, const siginfo_t& info) {
    Coroutine* owner = t->owner.load(std::memory_order_relaxed);
    Locked walk(g_registry_lock);
    if (owner) return owner->registered && owner->home == t && owner->owns_io ? owner : nullptr;
    Coroutine* main = registry_find(t->tid);  // of those without a kernel thread of their own only its id is one
    return main && !main->pinned && main->owns_io && !(main->mask & signal_bit(info.si_signo)) ? main : nullptr;
}

}  // namespace

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
            if (timer_signal_target(info, &target) == TimerSignal::nobodys) continue;
        } else if ((info.si_signo == SIGPIPE || info.si_signo == SIGXFSZ) && info.si_code == SI_USER && info.si_pid == i32(sys(__NR_getpid))) {
            target = this_coroutine();  // the kernel's answer to the call this worker just made for it
        } else if (from_descriptor(info)) {
            target = descriptor_signal_target(t, info);
        }
        if (g_multi && (signal_mirror_mask() & signal_bit(info.si_signo))) {
            // It slipped through on a worker that had not blocked it yet; a signalfd waits for it in the kernel.
            if (t->host_mask != signal_mirror_mask()) host_set_mask(signal_mirror_mask());
            if (!is_error(signal_send_again(info))) continue;
        }
        if (g_multi && signal_from_timer(info)) g_timer_pending.fetch_or(signal_bit(info.si_signo), std::memory_order_seq_cst);
        if (target)
            signal_post_thread(target, info);
        else
            signal_post_process(info);
    }
    // What nobody has pending any more was dropped.
    if (t->held && g_multi) {
        // The one who has it pending may block it for long: then others wait for theirs.
        u64 late = t->storm_release.load(std::memory_order_relaxed) && t->storm_release.exchange(false, std::memory_order_relaxed) ? t->storm_held : 0;
        host_release_held((t->held & ~g_timer_pending.load(std::memory_order_seq_cst)) | late);
    } else if (t->held && t->current) {
        host_release_held(t->held & ~signal_pending_set(this_coroutine()));
    }
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

[[noreturn]] static void die_with(Coroutine* c, int sig) {
    if (!c->direct) thread_dies_with_process(c);
    die_by_signal(sig);
}

bool signal_deliver(Coroutine* c, bool* handler_runs, u64* handler_flags) {
    siginfo_t info;
    if (!signal_take(c, ~c->mask, &info)) return false;
    int sig = info.si_signo;
    if (__builtin_expect(c->trace_me, 0) && !c->direct) {
        // Its tracer, from now on, gets to see the signal: it comes again.
        tracing_begins(c);
        host_release_held(signal_bit(sig));
        sys(__NR_rt_tgsigqueueinfo, sys(__NR_getpid), sys(__NR_gettid), sig, &info);
        return true;
    }
    if (__builtin_expect(c->tracer != 0, 0)) {
        int instead = trace_stop(c, info);
        if (instead != sig) {
            host_release_held(signal_bit(sig));
            if (!instead) return true;
            memset(&info, 0, sizeof info);
            info.si_signo = sig = instead;
            info.si_code = SI_USER;
        }
    }
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
        die_with(c, sig);
    }
    if (action.handler == (u64)SIG_IGN) return true;
    *handler_runs = true;
    *handler_flags = action.flags;
    bool pushed = signal_push_frame(c, info, action);
    host_release_held(signal_bit(sig));
    if (!pushed) {
        siginfo_t fault;
        memset(&fault, 0, sizeof fault);
        fault.si_signo = SIGSEGV;
        fault.si_code = SI_KERNEL;
        if (sig == SIGSEGV) die_with(c, SIGSEGV);
        signal_force(c, fault);
    }
    return true;
}

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
    if (action.handler < 2 || (c->mask & signal_bit(sig))) die_with(c, sig);
    if (signal_push_frame(c, info, action)) return;
    if (sig == SIGSEGV) die_with(c, SIGSEGV);
    siginfo_t fault;
    memset(&fault, 0, sizeof fault);
    fault.si_signo = SIGSEGV;
    fault.si_code = SI_KERNEL;
    signal_force(c, fault);
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
