// timers_posix.cc - POSIX timers whose signal goes to one thread, and their overruns (timer_create(2))
//
// The kernel cannot signal a coroutine: SIGEV_THREAD_ID becomes a signal to the process, and the timer's id tells drain
// whose it is. So each timer of the guest has a record from its creation to its deletion: a signal of one without is left over from a
// timer that was deleted meanwhile.
//
// A timer that is set anew takes back what it sent before and nobody has taken yet (kernel/time/posix-timers.c, it_signal_seq). What
// the runtime took from the kernel too early bears the count of settings there were by then (timer_signal_stamp).
#include <asm/errno.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/signal/signals.h"

namespace ocrun {

namespace {

struct Timer {
    Timer* next;
    i32 id;       // the kernel's, which only grows as timers come and go
    u32 tid;      // 0: the signal is for the process
    u32 overrun;  // of the last delivered expiration
    u32 set_at;   // signals with an older stamp are from before it was last set
    i32 signo;    // 0: it sends none
    bool by_kernel;  // the kernel sends it to a thread of its own: it was made before there were others
};

constexpr u32 kBuckets = 2 * kPageBytes / sizeof(Timer*);
Lock g_lock;  // taken last
Timer** g_timers;  // kBuckets chains, by the low bits of the id
Timer* g_free;
i32 g_highest = -1;  // of the ids there ever were
std::atomic<u32> g_settings{0};  // grows at the begin and at the end of each setting
// Timers by the signal they send: all, those for a thread, and those of them that the kernel knows to be.
struct Senders {
    std::atomic<u32> all, to_thread, by_kernel;
} g_senders[kSignals + 1];

struct SigEvent {
    u64 value;
    i32 signo, notify;
    i32 tid;
    i32 pad[11];
};
static_assert(sizeof(SigEvent) == 64);
constexpr i32 kThreadId = 4;  // SIGEV_THREAD_ID

// g_lock held. Where the timer hangs, or the end of its chain; nullptr before the first timer.
Timer** place_of(i32 id) {
    if (!g_timers) return nullptr;
    Timer** at = &g_timers[u32(id) % kBuckets];
    while (*at && (*at)->id != id) at = &(*at)->next;
    return at;
}

Timer* find(i32 id) {
    Timer** at = place_of(id);
    return at ? *at : nullptr;
}

Timer* timer_alloc() {
    if (!g_free) {
        Timer* block = (Timer*)pages_alloc(kPageBytes);
        if (!block) return nullptr;
        for (size_t i = 0; i < kPageBytes / sizeof(Timer); i++) {
            block[i].next = g_free;
            g_free = &block[i];
        }
    }
    Timer* timer = g_free;
    g_free = timer->next;
    return timer;
}

// g_lock held.
void count(const Timer* timer, u32 change) {
    if (timer->signo < 1 || timer->signo > kSignals) return;
    Senders& senders = g_senders[timer->signo];
    senders.all.fetch_add(change, std::memory_order_seq_cst);
    if (timer->tid) senders.to_thread.fetch_add(change, std::memory_order_seq_cst);
    if (timer->by_kernel) senders.by_kernel.fetch_add(change, std::memory_order_seq_cst);
}

// Do several timers send it, one of them to a thread?
bool shared_by_threads(int sig) {
    const Senders& senders = g_senders[sig];
    return senders.all.load(std::memory_order_seq_cst) > 1 && senders.to_thread.load(std::memory_order_seq_cst);
}

// 0 or -EAGAIN: no memory for the record, and the timer is gone again.
long note(i32 id, u32 tid, i32 signo, bool by_kernel) {
    {
        Locked held(g_lock);
        if (!g_timers) g_timers = (Timer**)pages_alloc(kBuckets * sizeof(Timer*));
        Timer** at = place_of(id);
        if (at && *at)
            count(*at, ~0u);
        else if (at && (*at = timer_alloc()))
            (*at)->next = nullptr;
        if (at && *at) {
            (*at)->id = id;
            (*at)->tid = tid;
            (*at)->overrun = 0;
            (*at)->set_at = g_settings.load(std::memory_order_relaxed);
            (*at)->signo = signo;
            (*at)->by_kernel = by_kernel;
            count(*at, 1);
            if (id > g_highest) g_highest = id;
        } else {
            sys(__NR_timer_delete, id);
            return -EAGAIN;
        }
    }
    // What is held back for one of them may keep another's from its thread (timer_signal_held_back).
    if (g_multi && signo > 0 && signo <= kSignals && shared_by_threads(signo)) {
        Locked held(g_signal_lock);
        timer_signals_settled(signal_bit(signo));
        host_release_held(signal_bit(signo));
    }
    return 0;
}

}  // namespace

namespace {

// The kernel's own word for such a count, si_sys_private, of which it shows nothing.
constexpr int kStampAt = 8;
u32 stamp_of(const siginfo_t& info) { return ((const u32*)&info)[kStampAt]; }
void set_stamp(siginfo_t* info, u32 stamp) { ((u32*)info)[kStampAt] = stamp; }

// g_lock held.
bool older(const siginfo_t& info, const Timer* timer) { return i32(stamp_of(info) - timer->set_at) < 0; }

}  // namespace

void timer_signal_stamp(siginfo_t* info) { set_stamp(info, g_settings.load(std::memory_order_seq_cst)); }

bool timer_signal_held_back(const siginfo_t& info) {
    if (!g_multi || info.si_code != SI_TIMER) return true;
    return !shared_by_threads(info.si_signo) && !g_senders[info.si_signo].by_kernel.load(std::memory_order_seq_cst);
}

TimerSignal timer_signal_target(const siginfo_t& info, Coroutine** target) {
    u32 tid;
    {
        Locked held(g_lock);
        Timer* timer = find(info.si_timerid);
        // Another process may call its signal a timer's.
        if (!timer) return info.si_timerid > g_highest ? TimerSignal::of_process : TimerSignal::nobodys;
        if (older(info, timer)) return TimerSignal::nobodys;
        tid = timer->tid;
    }
    if (!tid) return TimerSignal::of_process;
    Locked held(g_registry_lock);
    *target = registry_find(tid);
    return *target ? TimerSignal::of_thread : TimerSignal::nobodys;
}

bool timer_signal_merged(siginfo_t* pending, const siginfo_t& more) {
    if (pending->si_timerid != more.si_timerid) return false;
    Locked held(g_lock);
    Timer* timer = find(more.si_timerid);
    if (timer && older(*pending, timer)) {
        *pending = more;
    } else {
        pending->si_overrun += 1 + more.si_overrun;
        if (i32(stamp_of(more) - stamp_of(*pending)) > 0) set_stamp(pending, stamp_of(more));
    }
    return true;
}

bool timer_signal_counts(const siginfo_t& info) {
    Locked held(g_lock);
    Timer* timer = find(info.si_timerid);
    return timer ? !older(info, timer) : info.si_timerid > g_highest;
}

void timer_signal_delivered(siginfo_t* info) {
    Locked held(g_lock);
    if (Timer* timer = find(info->si_timerid)) timer->overrun = u32(info->si_overrun);
    set_stamp(info, 0);
}

long posix_timer_overrun(i32 id) {
    Locked held(g_lock);
    Timer* timer = find(id);
    return timer ? i32(timer->overrun) : 0;
}

namespace {

// g_lock held.
void record_free(Timer** at) {
    Timer* timer = *at;
    count(timer, ~0u);
    *at = timer->next;
    timer->next = g_free;
    g_free = timer;
}

}  // namespace

void posix_timer_forget(i32 id) {
    Locked held(g_lock);
    Timer** at = place_of(id);
    if (at && *at) record_free(at);
}

void posix_timers_after_fork() {
    g_lock.reset();
    g_highest = -1;
    for (u32 i = 0; g_timers && i < kBuckets; i++)
        while (g_timers[i]) record_free(&g_timers[i]);
}

long posix_timer_set(i32 id, u64 flags, u64 guest_setting, u64 guest_old) {
    itimerspec setting;
    bool ends = guest_setting && !get_guest(&setting, (void*)guest_setting) && !setting.it_value.tv_sec && !setting.it_value.tv_nsec;
    u32 begun = g_settings.fetch_add(1, std::memory_order_seq_cst) + 1;
    long r = sys(__NR_timer_settime, id, flags, guest_setting, guest_old);
    u32 done = g_settings.fetch_add(1, std::memory_order_seq_cst) + 1;
    if (is_error(r)) return r;
    Locked held(g_lock);
    // What came during the call may be of the new setting, but not of one that ends the timer.
    if (Timer* timer = find(id)) timer->set_at = ends ? done : begun;
    return r;
}

long posix_timer_created_natively(Coroutine* c, u64 guest_event, u64 guest_id) {
    SigEvent event;
    i32 id;
    if (get_guest(&id, (void*)guest_id)) return 0;  // another thread took the page away
    if (guest_event && get_guest(&event, (void*)guest_event)) return 0;
    bool to_thread = guest_event && event.notify == kThreadId;
    bool silent = guest_event && event.notify == SIGEV_NONE;
    return note(id, to_thread ? c->tid : 0, !guest_event ? SIGALRM : silent ? 0 : event.signo, to_thread);
}

long posix_timer_create(Coroutine*, i32 clock, u64 guest_event, u64 guest_id) {
    SigEvent event;
    if (get_guest(&event, (void*)guest_event)) return -EFAULT;
    i32 id = 0;
    u32 tid = u32(event.tid);
    bool to_thread = event.notify == kThreadId;
    if (to_thread) {
        Locked held(g_registry_lock);
        if (!registry_find(tid)) return -EINVAL;
    }
    if (to_thread) {
        event.notify = SIGEV_SIGNAL;
        event.tid = 0;
    }
    long r = sys(__NR_timer_create, clock, &event, &id);
    if (is_error(r)) return r;
    r = note(id, to_thread ? tid : 0, event.notify == SIGEV_NONE ? 0 : event.signo, false);
    if (r) return r;
    if (put_guest((void*)guest_id, id)) {
        posix_timer_forget(id);
        sys(__NR_timer_delete, id);
        return -EFAULT;
    }
    return 0;
}

}  // namespace ocrun
