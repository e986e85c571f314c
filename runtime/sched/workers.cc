// workers.cc - see workers.h
#include "runtime/sched/workers.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/workers_internal.h"

namespace ocrun {

OC_APART alignas(kPageBytes) oc_worker_slot g_worker_slots[kMaxWorkers];
OC_APART KThread* g_workers[kMaxWorkers];
std::atomic<u32> g_worker_count{0};
Lock g_start_lock;

namespace {

// Signals never blocked on a worker (signal/signals.h: kHostNeverBlocked), as a mask of what is blocked while it starts.
constexpr u64 kAllBlocked = ~0ul;
// A helper takes ticks, kicks, traps and faults, nothing else (signal/signals.h: kHostNeverBlocked).
constexpr u64 bit(int sig) { return 1ul << (sig - 1); }
constexpr u64 kHelperBlocked = ~(bit(SIGSYS) | bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(kTickSignal));

u32 g_limit = 1;
std::atomic<u32> g_active{1};   // workers that hold a place, at most g_limit
u32 g_unpinned = 1;             // workers started that are nobody's own; under g_start_lock
std::atomic<bool> g_spare_wanted{false};  // also where there is but one worker
constexpr u32 kMostSpares = 64;  // so many workers may be stuck at once and others still run

// Workers without a place, asleep; under g_sleep_lock, linked as sleepers are.
KThread* g_spares;

// Idle workers asleep on their own futex; the one that polls is not among them.
Lock g_sleep_lock;
KThread* g_sleepers;
std::atomic<u32> g_sleeping{0};

void worker_main(void* argument) {
    KThread* t = (KThread*)argument;
    trap_thread_attach(t);
    t->tid = u32(sys(__NR_gettid));
    t->slot->tid = t->tid;
    if (t->owner.load(std::memory_order_relaxed))
        cpus_other();
    else
        cpus_worker(t, u32(t->slot - g_worker_slots));
    // Known to everybody before it looks at what everybody must do (mirrored signals).
    while (g_worker_count.load(std::memory_order_seq_cst) <= u32(t->slot - g_worker_slots)) sys(__NR_sched_yield);
    if (t->retaken.load(std::memory_order_relaxed))
        spare_park();
    else
        worker_starts(t);
    idle_loop();
}

// The new thread has the caller's credentials: the caller catches up first. False: t is still the caller's.
bool start_thread(KThread* t, void (*main)(void*)) {
    KThread* self = this_thread();
    if ((self->kind == ThreadKind::worker && !self->owner) || self->kind == ThreadKind::monitor) everywhere_catch_up(&self->everywhere_seen);
    t->everywhere_seen = everywhere_generation();
    u64 all = t->kind == ThreadKind::worker ? kAllBlocked : kHelperBlocked, old = 0;
    t->blocked.store(all, std::memory_order_seq_cst);
    sys(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, &old, 8);
    t->exit_tid = 1;
    // The caller may be where a coroutine wants to be; what it starts is for all, from its first moment: it may start others.
    bool bound = self->affinity_applied && !cpus_pinned();
    if (bound) sys(__NR_sched_setaffinity, 0, sizeof self->affinity, self->affinity);
    long tid = oc_clone_child(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID,
                              kthread_stack_top(t), nullptr, &t->exit_tid, main, t);
    if (bound) sys(__NR_sched_setaffinity, 0, sizeof self->affinity_now, self->affinity_now);
    sys(__NR_rt_sigprocmask, 2, &old, nullptr, 8);
    if (is_error(tid)) return false;
    t->tid = u32(tid);
    return true;
}

// g_start_lock held. A spare begins without a place and parks.
bool start_worker(bool spare) {
    u32 n = g_worker_count.load(std::memory_order_relaxed);
    if (n >= kMaxWorkers || g_unpinned >= g_limit + kMostSpares || !runtime_stacks_reserve(g_unpinned + 1)) return false;
    KThread* t = kthread_alloc(ThreadKind::worker);
    if (!t) return false;
    t->retaken.store(spare, std::memory_order_relaxed);
    t->slot = &g_worker_slots[n];
    t->slot->state = OC_WORKER_IDLE;
    if (!start_thread(t, worker_main)) {
        t->slot->state = OC_WORKER_NONE;
        kthread_free(t);
        return false;
    }
    g_workers[n] = t;
    g_unpinned++;
    g_worker_count.store(n + 1, std::memory_order_release);
    return true;
}

// g_start_lock held. -1: no block is left.
long pinned_block() {
    u32 n = g_worker_count.load(std::memory_order_relaxed);
    for (u32 i = 0; i < n; i++)
        if (g_workers[i]->ended && !__atomic_load_n(&g_workers[i]->exit_tid, __ATOMIC_ACQUIRE)) return i;
    return n < kMaxWorkers ? long(n) : -1;
}

bool take_place() {
    u32 n = g_active.load(std::memory_order_seq_cst);
    while (n < g_limit)
        if (g_active.compare_exchange_weak(n, n + 1, std::memory_order_seq_cst)) return true;
    return false;
}

// One parked spare gets up with the place that the caller took for it.
bool spare_wake() {
    KThread* t;
    {
        Locked held(g_sleep_lock);
        t = g_spares;
        if (!t) return false;
        g_spares = t->next_sleeper;
        t->in_spares = false;
        t->slot->retaken = 0;
        t->retaken.store(false, std::memory_order_seq_cst);
    }
    t->sleep_word.store(1, std::memory_order_release);
    sys(__NR_futex, &t->sleep_word, FUTEX_WAKE_PRIVATE, 1);
    return true;
}

// A place that an idle worker does not use: a sleeper becomes a spare where it lies, the poller goes on as one.
bool take_idle_place() {
    Locked held(g_sleep_lock);
    while (KThread* t = g_sleepers) {
        g_sleepers = t->next_sleeper;
        g_sleeping.fetch_sub(1, std::memory_order_relaxed);
        t->next_sleeper = g_spares;
        g_spares = t;
        t->in_spares = true;
        t->slot->retaken = 1;
        // The monitor may have taken its place just before it fell asleep: that place is given away already.
        if (!t->retaken.exchange(true, std::memory_order_seq_cst)) return true;
    }
    KThread* t = idle_poller();
    if (!t || t->retaken.exchange(true, std::memory_order_seq_cst)) return false;
    t->slot->retaken = 1;
    return true;
}

}  // namespace

void workers_init(KThread* first, u32 limit) {
    if (!limit) {
        u64 cpus[kMaxWorkers / 64] = {};
        long n = sys(__NR_sched_getaffinity, 0, sizeof cpus, cpus);
        for (long i = 0; i < n / 8; i++) limit += u32(__builtin_popcountl(cpus[i]));
    }
    constexpr u32 kMostActive = 256;
    g_limit = limit < 1 ? 1 : limit > kMostActive ? kMostActive : limit;
    g_workers[0] = first;
    first->slot = &g_worker_slots[0];
    first->slot->tid = first->tid;
    first->slot->state = OC_WORKER_RUNNING;
    g_worker_count.store(1, std::memory_order_release);
}

u64 workers_calls() {
    u64 sum = 0;
    for (u32 i = 0; i < workers_started(); i++) sum += __atomic_load_n(&g_workers[i]->calls, __ATOMIC_RELAXED);
    return sum;
}

u32 workers_limit() { return g_limit; }
u32 workers_started() { return g_worker_count.load(std::memory_order_acquire); }
KThread* worker_at(u32 index) { return g_workers[index]; }

// Told from a guest's own signal by its value: one may still be pending when an exec has made another program of this thread.
long thread_interrupt(u32 tid) {
    bool direct = this_thread()->kind == ThreadKind::direct;  // a process of its own
    u32 process = direct ? g_workers[0]->tid : u32(sys(__NR_getpid));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = kKickValue;
    long r = sys(__NR_rt_tgsigqueueinfo, process, tid, kTickSignal, &info);
    if (r != -EAGAIN || direct) return r;
    return sys(__NR_tgkill, process, tid, SIGBUS);
}

void worker_kick(KThread* t) {
    if (t->kicked.exchange(true, std::memory_order_seq_cst)) return;
    if (is_error(thread_interrupt(t->tid))) t->kicked.store(false, std::memory_order_seq_cst);
}

bool sleeper_wake() {
    if (g_sleeping.load(std::memory_order_seq_cst)) {
        KThread* t;
        {
            Locked held(g_sleep_lock);
            t = g_sleepers;
            if (t) {
                g_sleepers = t->next_sleeper;
                g_sleeping.fetch_sub(1, std::memory_order_relaxed);
            }
        }
        if (t) {
            t->sleep_word.store(1, std::memory_order_release);
            sys(__NR_futex, &t->sleep_word, FUTEX_WAKE_PRIVATE, 1);
            return true;
        }
    }
    return false;
}

void worker_rouse() {
    if (!g_tick_max_ns) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (u32 i = 0; i < workers_started(); i++) {
        KThread* t = worker_at(i);
        if (!t || t == this_thread() || t->owner.load(std::memory_order_relaxed) || t->ended || t->retaken.load(std::memory_order_relaxed)) continue;
        u64 period = t->tick_ns.load(std::memory_order_seq_cst);
        if ((period && period <= g_tick_max_ns) || __atomic_load_n(&t->slot->state, __ATOMIC_SEQ_CST) == OC_WORKER_IDLE) continue;
        // All of them: one may be where no signal gets it out.
        if (!t->need_resched.exchange(true, std::memory_order_seq_cst)) worker_kick(t);
    }
}

bool sleeper_exists() { return g_sleeping.load(std::memory_order_seq_cst) != 0; }

bool worker_start_one() {
    // The only worker takes no locks against others (scheduler.cc, only_worker): it has to be the one that starts the second. Its next
    // look is soon.
    if (KThread* only = workers_started() == 1 ? worker_at(0) : nullptr; only && only != this_thread()) {
        if (g_limit > 1 && !only->need_resched.exchange(true, std::memory_order_seq_cst)) worker_kick(only);
        return false;
    }
    if (!take_place()) return false;
    if (spare_wake()) return true;
    // Held through a whole world stop: waiting for it here would be waiting for oneself to stand still. The monitor cannot
    // start threads, its descriptors are its own; neither can a pinned thread, whose credentials may be.
    bool started = false;
    if (this_thread()->kind != ThreadKind::monitor && !this_thread()->owner && g_start_lock.try_lock()) {
        started = start_worker(false);
        g_start_lock.unlock();
        // A process with two kernel threads that share descriptors does not mind a third.
        if (started) worker_ensure_spare();
    }
    if (!started) g_active.fetch_sub(1, std::memory_order_seq_cst);
    return started;
}

long worker_pin(Coroutine* c) {
    while (!g_start_lock.try_lock()) worker_attend(), sys(__NR_sched_yield);
    long index = pinned_block();
    u32 n = g_worker_count.load(std::memory_order_relaxed);
    KThread* t = index < 0 ? nullptr : index < long(n) ? g_workers[index] : kthread_alloc(ThreadKind::worker);
    if (t) {
        t->slot = &g_worker_slots[index];
        t->owner.store(c, std::memory_order_relaxed);
        t->sleep_word.store(0, std::memory_order_relaxed);
        t->kicked.store(false, std::memory_order_relaxed);
        t->tick_made = false;
        t->latched.store(0, std::memory_order_relaxed);
        t->current = nullptr;
        t->clock = {};
        t->ended = false;
        t->slot->pinned = 1;
        t->slot->state = OC_WORKER_IDLE;
        t->away.store(false, std::memory_order_seq_cst);
        if (!start_thread(t, worker_main)) {
            t->ended = index < long(n);
            t->away.store(t->ended, std::memory_order_seq_cst);
            t->exit_tid = 0;
            if (index == long(n)) kthread_free(t);
            t = nullptr;
        } else if (index == long(n)) {
            g_workers[n] = t;
            g_worker_count.store(n + 1, std::memory_order_release);
        }
    }
    g_start_lock.unlock();
    if (!t) return -EAGAIN;
    c->home = t;
    c->pinned = true;
    if (c == this_coroutine()) move_home(c);
    return 0;
}

void pinned_thread_ends() {
    KThread* t = this_thread();
    const u64 closed = kHelperBlocked;
    do {
        attend();  // may open the mask
        sys(__NR_rt_sigprocmask, SIG_SETMASK, &closed, nullptr, 8);
    } while (t->latched.load(std::memory_order_relaxed));
    while (!g_start_lock.try_lock()) worker_attend(), sys(__NR_sched_yield);
    if (t->tick_made) sys(__NR_timer_delete, t->tick_timer);
    t->owner.store(nullptr, std::memory_order_relaxed);
    t->slot->state = OC_WORKER_NONE;
    t->slot->pinned = 0;
    // From here on a world stop counts it as standing, and its block may be used again once the kernel has left it.
    t->ended = true;
    t->away.store(true, std::memory_order_seq_cst);
    g_start_lock.unlock();
    for (;;) sys(__NR_exit, 0);
}

bool worker_retake(KThread* t) {
    if (t->retaken.exchange(true, std::memory_order_seq_cst)) return false;
    t->slot->retaken = 1;
    g_active.fetch_sub(1, std::memory_order_seq_cst);
    t->slot->handovers++;
    if (Coroutine* c = static_cast<Coroutine*>(t->current)) observe_kblock(c);
    return true;
}

bool worker_reclaim(bool has_work) {
    KThread* t = this_thread();
    if (!take_place() && !(has_work && take_idle_place())) return false;
    Locked held(g_sleep_lock);
    if (!t->retaken.load(std::memory_order_relaxed)) {
        g_active.fetch_sub(1, std::memory_order_seq_cst);  // spare_wake gave it one meanwhile
        return true;
    }
    // It may have become a spare where it slept.
    if (t->in_spares) {
        KThread** at = &g_spares;
        while (*at != t) at = &(*at)->next_sleeper;
        *at = t->next_sleeper;
        t->in_spares = false;
    }
    t->slot->retaken = 0;
    t->retaken.store(false, std::memory_order_seq_cst);
    return true;
}

void spare_park() {
    KThread* t = this_thread();
    tick_stop();
    {
        Locked held(g_sleep_lock);
        if (!t->retaken.load(std::memory_order_relaxed)) return;
        if (!t->in_spares) {
            t->sleep_word.store(0, std::memory_order_relaxed);
            t->next_sleeper = g_spares;
            g_spares = t;
            t->in_spares = true;
        }
    }
    // Signals are for others meanwhile: who sleeps here must not take one that a signalfd waits for. But the process's first kernel
    // thread is the one that others can name (tgkill of another process, timers from before there were threads): nobody else can take
    // what is sent to it.
    const u64 closed = kHelperBlocked;
    const bool named = t == g_workers[0];
    auto close = [&] {
        sys(__NR_rt_sigprocmask, SIG_SETMASK, &closed, nullptr, 8);
        t->blocked.store(closed, std::memory_order_seq_cst);
    };
    if (named)
        worker_starts(t);
    else
        close();
    for (;;) {
        // Who took it off the list of sleepers long ago may say so only now.
        t->sleep_word.store(0, std::memory_order_seq_cst);
        if (!t->retaken.load(std::memory_order_seq_cst)) break;
        if (t->latched.load(std::memory_order_relaxed)) {
            attend();  // opens the mask
            if (!named) close();
            continue;
        }
        AsleepAway away;
        oc_syscall_intr(__NR_futex, (long)&t->sleep_word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
    }
    worker_starts(t);
    worker_ensure_spare();
}

void worker_ensure_wanted_spare() {
    if (g_spare_wanted.load(std::memory_order_relaxed)) worker_ensure_spare();
}

void worker_expect_stuck() {
    g_spare_wanted.store(true, std::memory_order_relaxed);
    if (g_multi) worker_ensure_spare();
}

bool worker_may_take_over() {
    Locked held(g_sleep_lock);
    return g_spares || __atomic_load_n(&g_unpinned, __ATOMIC_RELAXED) > 1;
}

void worker_ensure_spare() {
    if (this_thread()->owner) return;  // its credentials and filters may be its own; the next one called up makes up for it
    {
        Locked held(g_sleep_lock);
        if (g_spares) return;
    }
    if (!g_start_lock.try_lock()) return;  // the world stands still; the next one called up makes up for it
    start_worker(true);
    g_start_lock.unlock();
}

KThread* helper_start(ThreadKind kind, void (*main)(void*)) {
    KThread* t = kthread_alloc(kind);
    if (t && start_thread(t, main)) return t;
    if (t) kthread_free(t);
    return nullptr;
}

void sleeper_register(KThread* t) {
    t->sleep_word.store(0, std::memory_order_relaxed);
    Locked held(g_sleep_lock);
    t->next_sleeper = g_sleepers;
    g_sleepers = t;
    g_sleeping.fetch_add(1, std::memory_order_seq_cst);
}

// After a sleep, or instead of it: off the list unless a waker took it off.
void sleeper_unregister(KThread* t) {
    Locked held(g_sleep_lock);
    for (KThread** at = &g_sleepers; *at; at = &(*at)->next_sleeper)
        if (*at == t) {
            *at = t->next_sleeper;
            g_sleeping.fetch_sub(1, std::memory_order_relaxed);
            return;
        }
}

void workers_after_fork() {
    KThread* self = this_thread();
    u32 count_before = g_worker_count.load(std::memory_order_relaxed);
    for (u32 i = 0; i < count_before; i++)
        if (g_workers[i] != self) kthread_free(g_workers[i]);
    g_workers[0] = self;
    g_worker_count.store(1, std::memory_order_relaxed);
    world_after_fork();
    g_start_lock.reset();
    g_sleep_lock.reset();
    g_sleepers = g_spares = nullptr;
    g_sleeping.store(0, std::memory_order_relaxed);
    g_active.store(1, std::memory_order_relaxed);
    g_unpinned = 1;
    memset(g_worker_slots, 0, count_before * sizeof g_worker_slots[0]);
    self->slot = &g_worker_slots[0];
    cpus_worker(self, 0);
    self->slot->tid = self->tid;
    self->slot->state = OC_WORKER_RUNNING;
    self->retaken.store(false, std::memory_order_relaxed);
    self->kicked.store(false, std::memory_order_relaxed);
    self->in_spares = false;
    self->owner.store(nullptr, std::memory_order_relaxed);
    self->ended = false;
    self->tick_ns.store(0, std::memory_order_relaxed);
    self->stat_tid = 0;
    monitor_after_fork();
    self->away.store(false, std::memory_order_relaxed);
    self->tick_made = false;
    self->everywhere_seen = everywhere_generation();
}

}  // namespace ocrun
