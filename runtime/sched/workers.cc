// workers.cc - see workers.h
#include "runtime/sched/workers.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/workers_internal.h"

namespace ocrun {

EverywhereHelpers g_everywhere_helpers;
KThread* g_workers[kMaxWorkers];
std::atomic<u32> g_worker_count{0};

namespace {

constexpr int kKickSignal = 64;  // signal/signals.h: kInternalSignal
constexpr u64 kRetryKickNs = 1000000;
// Signals never blocked on a worker (signal/signals.h: kHostNeverBlocked), as a mask of what is blocked while it starts.
constexpr u64 kAllBlocked = ~0ul;

Lock g_start_lock;
u32 g_limit = 1;
void (*g_start_ticks)();

// Idle workers asleep on their own futex; the one that polls is not among them.
Lock g_sleep_lock;
KThread* g_sleepers;
std::atomic<u32> g_sleeping{0};

std::atomic<u32> g_stop{0}, g_stopped{0};
std::atomic<bool> g_world_owned{false};

struct Everywhere {
    u32 nr;
    u64 args[6];
    std::atomic<u32> generation, left;
    std::atomic<long> error;
} g_everywhere;
std::atomic<bool> g_everywhere_owned{false};

void worker_main(void* argument) {
    KThread* t = (KThread*)argument;
    trap_thread_attach(t);
    t->tid = u32(sys(__NR_gettid));
    worker_starts(t);
    if (g_start_ticks) g_start_ticks();
    idle_loop();
}

// g_start_lock held.
bool start_worker() {
    u32 n = g_worker_count.load(std::memory_order_relaxed);
    if (n >= g_limit) return false;
    KThread* t = kthread_alloc(ThreadKind::worker);
    if (!t) return false;
    t->everywhere_seen = g_everywhere.generation.load(std::memory_order_relaxed);
    u64 all = kAllBlocked, old = 0;
    sys(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, &old, 8);
    long tid = oc_clone_child(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, kthread_stack_top(t),
                              nullptr, nullptr, worker_main, t);
    sys(__NR_rt_sigprocmask, 2, &old, nullptr, 8);
    if (is_error(tid)) {
        kthread_free(t);
        return false;
    }
    t->tid = u32(tid);
    g_workers[n] = t;
    g_worker_count.store(n + 1, std::memory_order_release);
    return true;
}

u32 pid() { return u32(sys(__NR_getpid)); }

void stand_still() {
    g_stopped.fetch_add(1, std::memory_order_seq_cst);
    sys(__NR_futex, &g_stopped, FUTEX_WAKE_PRIVATE, 1);
    while (g_stop.load(std::memory_order_seq_cst)) sys(__NR_futex, &g_stop, FUTEX_WAIT_PRIVATE, 1, nullptr);
    g_stopped.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace

void workers_init(KThread* first, u32 limit, void (*start_ticks)()) {
    if (!limit) {
        u64 cpus[kMaxWorkers / 64] = {};
        long n = sys(__NR_sched_getaffinity, 0, sizeof cpus, cpus);
        for (long i = 0; i < n / 8; i++) limit += u32(__builtin_popcountl(cpus[i]));
    }
    g_limit = limit < 1 ? 1 : limit > kMaxWorkers ? kMaxWorkers : limit;
    g_workers[0] = first;
    g_worker_count.store(1, std::memory_order_release);
    g_start_ticks = start_ticks;
}

u32 workers_limit() { return g_limit; }
u32 workers_started() { return g_worker_count.load(std::memory_order_acquire); }
KThread* worker_at(u32 index) { return g_workers[index]; }

void worker_kick(KThread* t) { sys(__NR_tgkill, pid(), t->tid, kKickSignal); }

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

bool sleeper_exists() { return g_sleeping.load(std::memory_order_seq_cst) != 0; }

bool worker_start_one() {
    if (g_worker_count.load(std::memory_order_relaxed) >= g_limit) return false;
    // Held through a whole world stop: waiting for it here would be waiting for oneself to stand still.
    if (!g_start_lock.try_lock()) return false;
    bool started = start_worker();
    g_start_lock.unlock();
    return started;
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

void world_stop() {
    KThread* self = this_thread();
    while (g_world_owned.exchange(true, std::memory_order_acquire)) worker_attend(), sys(__NR_sched_yield);
    // No worker may come into being between the count and the fork.
    while (!g_start_lock.try_lock()) worker_attend(), sys(__NR_sched_yield);
    u32 others = g_worker_count.load(std::memory_order_relaxed) - 1;
    if (!others) return;
    g_stop.store(1, std::memory_order_seq_cst);
    for (;;) {
        u32 still = g_stopped.load(std::memory_order_seq_cst), away = 0;
        for (u32 i = 0; i <= others; i++)
            if (g_workers[i] != self && g_workers[i]->away.load(std::memory_order_seq_cst)) away++;
        if (still + away >= others) break;
        for (u32 i = 0; i <= others; i++)
            if (g_workers[i] != self) worker_kick(g_workers[i]);
        // A worker in an uninterruptible call takes its time; kick again, in case the first was spent on something else.
        timespec patience{0, long(kRetryKickNs)};
        sys(__NR_futex, &g_stopped, FUTEX_WAIT_PRIVATE, still, &patience);
    }
}

void world_go() {
    if (g_stop.exchange(0, std::memory_order_seq_cst)) {
        sys(__NR_futex, &g_stop, FUTEX_WAKE_PRIVATE, 0x7fffffff);
    }
    g_start_lock.unlock();
    g_world_owned.store(false, std::memory_order_release);
}

void workers_after_fork() {
    KThread* self = this_thread();
    for (u32 i = 0; i < g_worker_count.load(std::memory_order_relaxed); i++)
        if (g_workers[i] != self) kthread_free(g_workers[i]);
    g_workers[0] = self;
    g_worker_count.store(1, std::memory_order_relaxed);
    g_stop.store(0, std::memory_order_relaxed);
    g_stopped.store(0, std::memory_order_relaxed);
    g_world_owned.store(false, std::memory_order_relaxed);
    g_everywhere_owned.store(false, std::memory_order_relaxed);
    g_start_lock.reset();
    g_sleep_lock.reset();
    g_sleepers = nullptr;
    g_sleeping.store(0, std::memory_order_relaxed);
    self->away.store(false, std::memory_order_relaxed);
    self->tick_made = false;
    self->everywhere_seen = g_everywhere.generation.load(std::memory_order_relaxed);
}

void worker_away(bool away) {
    KThread* t = this_thread();
    t->away.store(away, std::memory_order_seq_cst);
    // Back while the world stands still: whoever stopped it counts on this worker.
    if (!away)
        while (g_stop.load(std::memory_order_seq_cst)) {
            t->away.store(true, std::memory_order_seq_cst);
            sys(__NR_futex, &g_stop, FUTEX_WAIT_PRIVATE, 1, nullptr);
            t->away.store(false, std::memory_order_seq_cst);
        }
}

long everywhere(u32 nr, const u64 args[6]) {
    while (g_everywhere_owned.exchange(true, std::memory_order_acquire)) worker_attend(), sys(__NR_sched_yield);
    KThread* self = this_thread();
    u32 helpers, workers;
    while (!g_start_lock.try_lock()) worker_attend(), sys(__NR_sched_yield);
    {
        workers = g_worker_count.load(std::memory_order_relaxed);
        helpers = g_everywhere_helpers.begin();
        g_everywhere.nr = nr;
        memcpy(g_everywhere.args, args, sizeof g_everywhere.args);
        g_everywhere.error.store(0, std::memory_order_relaxed);
        g_everywhere.left.store(workers - 1 + helpers, std::memory_order_relaxed);
        self->everywhere_seen = g_everywhere.generation.fetch_add(1, std::memory_order_release) + 1;
        g_everywhere_helpers.end();
    }
    g_start_lock.unlock();
    for (u32 left; (left = g_everywhere.left.load(std::memory_order_acquire)) != 0;) {
        for (u32 i = 0; i < workers; i++)
            if (g_workers[i] != self) worker_kick(g_workers[i]);
        g_everywhere_helpers.begin();
        g_everywhere_helpers.end();
        worker_attend();
        timespec patience{0, long(kRetryKickNs)};
        sys(__NR_futex, &g_everywhere.left, FUTEX_WAIT_PRIVATE, left, &patience);
    }
    long error = g_everywhere.error.load(std::memory_order_relaxed);
    g_everywhere_owned.store(false, std::memory_order_release);
    return error;
}

u32 everywhere_generation() { return g_everywhere.generation.load(std::memory_order_acquire); }

void everywhere_catch_up(u32* seen) {
    u32 generation = everywhere_generation();
    if (generation == *seen) return;
    *seen = generation;
    const u64* a = g_everywhere.args;
    long r = raw_syscall(g_everywhere.nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    if (is_error(r)) g_everywhere.error.store(r, std::memory_order_relaxed);
    if (g_everywhere.left.fetch_sub(1, std::memory_order_acq_rel) == 1) sys(__NR_futex, &g_everywhere.left, FUTEX_WAKE_PRIVATE, 1);
}

void worker_attend() {
    KThread* t = this_thread();
    if (t->kind != ThreadKind::worker) return;
    everywhere_catch_up(&t->everywhere_seen);
    if (__builtin_expect(g_stop.load(std::memory_order_seq_cst), 0)) stand_still();
}

}  // namespace ocrun
