// world.cc - what all workers do together: stand still for a fork, make the same call, and a call for one of them (see workers.h)
#include <linux/futex.h>
#include <poll.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/workers_internal.h"

namespace ocrun {

EverywhereHelpers g_everywhere_helpers;

namespace {

constexpr u64 kRetryKickNs = 1000000;

std::atomic<u32> g_stop{0}, g_stopped{0};
std::atomic<bool> g_world_owned{false};

struct Everywhere {
    u32 nr;
    u64 args[6];
    std::atomic<u32> generation, left;
    std::atomic<long> error;
} g_everywhere;
std::atomic<bool> g_everywhere_owned{false};

// worker_errand: one at a time.
struct OutsideErrand {
    void (*run)(void*);
    void* argument;
    std::atomic<u32> done;
};
std::atomic<OutsideErrand*> g_outside_errand{nullptr};
std::atomic<u32> g_outside_owner{0};  // its process id: a child that may be killed at any moment

// call_on_worker: one at a time.
struct Errand {
    u32 nr;
    u64 args[6];
    long result;
    std::atomic<u32> done;
};
std::atomic<KThread*> g_errand_for{nullptr};
Errand* g_errand;
std::atomic<bool> g_errand_owned{false};

void stand_still() {
    do {
        g_stopped.fetch_add(1, std::memory_order_seq_cst);
        sys(__NR_futex, &g_stopped, FUTEX_WAKE_PRIVATE, 1);
        while (g_stop.load(std::memory_order_seq_cst)) sys(__NR_futex, &g_stop, FUTEX_WAIT_PRIVATE, 1, nullptr);
        g_stopped.fetch_sub(1, std::memory_order_seq_cst);
        // The next stop may have counted this worker between the last two: then it stands still for that one too.
    } while (g_stop.load(std::memory_order_seq_cst));
}

}  // namespace

void world_stop() { world_stop_within(kNever); }

bool world_stop_within(u64 patience_ns) {
    KThread* self = this_thread();
    while (g_world_owned.exchange(true, std::memory_order_acquire)) worker_attend(), sys(__NR_sched_yield);
    // No worker may come into being between the count and the fork.
    while (!g_start_lock.try_lock()) worker_attend(), sys(__NR_sched_yield);
    u32 others = workers_started() - 1;
    if (!others) return true;
    u64 began = patience_ns == kNever ? 0 : now_ns();
    g_stop.store(1, std::memory_order_seq_cst);
    for (;;) {
        u32 still = g_stopped.load(std::memory_order_seq_cst), away = 0;
        for (u32 i = 0; i <= others; i++)
            if (worker_at(i) != self && worker_at(i)->away.load(std::memory_order_seq_cst)) away++;
        if (still + away >= others) return true;
        if (began) {
            // The one that was found stuck before will hardly be back now.
            bool stuck = now_ns() - began > patience_ns;
            for (u32 i = 0; i <= others; i++)
                stuck |= worker_at(i)->retaken.load(std::memory_order_seq_cst) && !worker_at(i)->away.load(std::memory_order_seq_cst) &&
                         worker_at(i)->slot->state == OC_WORKER_RUNNING;
            if (stuck) {
                world_go();
                return false;
            }
        }
        for (u32 i = 0; i <= others; i++)
            if (worker_at(i) != self) worker_kick(worker_at(i));
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

bool world_stopping() { return g_stop.load(std::memory_order_seq_cst) != 0; }

void AsleepAway::worker_set_away() { this_thread()->away.store(true, std::memory_order_seq_cst); }

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
        workers = workers_started();
        // Pinned threads have their own.
        u32 others = 0;
        for (u32 i = 0; i < workers; i++) others += worker_at(i) != self && !worker_at(i)->owner && !worker_at(i)->ended;
        helpers = g_everywhere_helpers.begin() + monitor_threads();
        g_everywhere.nr = nr;
        memcpy(g_everywhere.args, args, sizeof g_everywhere.args);
        g_everywhere.error.store(0, std::memory_order_relaxed);
        g_everywhere.left.store(others + helpers, std::memory_order_relaxed);
        self->everywhere_seen = g_everywhere.generation.fetch_add(1, std::memory_order_release) + 1;
        g_everywhere_helpers.end();
    }
    g_start_lock.unlock();
    for (u32 left; (left = g_everywhere.left.load(std::memory_order_acquire)) != 0;) {
        for (u32 i = 0; i < workers; i++)
            if (worker_at(i) != self) worker_kick(worker_at(i));
        monitor_kick();
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

long call_on_worker(KThread* t, u32 nr, const u64 a[6]) {
    while (g_errand_owned.exchange(true, std::memory_order_acquire)) worker_attend(), sys(__NR_sched_yield);
    Errand e{nr, {a[0], a[1], a[2], a[3], a[4], a[5]}, 0, {0}};
    g_errand = &e;
    g_errand_for.store(t, std::memory_order_release);
    while (!e.done.load(std::memory_order_acquire)) {
        worker_kick(t);
        worker_attend();
        timespec patience{0, long(kRetryKickNs)};
        sys(__NR_futex, &e.done, FUTEX_WAIT_PRIVATE, 0, &patience);
    }
    g_errand_owned.store(false, std::memory_order_release);
    return e.result;
}

namespace {

// Also one whose end its parent has not been told yet (pidfd_open(2)).
bool has_ended(u32 pid) {
    long fd = sys(__NR_pidfd_open, pid, 0);
    if (is_error(fd)) return fd == -ESRCH;
    pollfd p{int(fd), POLLIN, 0};
    bool ended = sys(__NR_poll, &p, 1, 0) == 1;
    sys(__NR_close, fd);
    return ended;
}

void own_outside_errand() {
    constexpr u32 kLookEvery = 1000;
    u32 self = this_thread()->tid;
    for (u32 tries = 1;; tries++) {
        u32 owner = 0;
        if (g_outside_owner.compare_exchange_strong(owner, self, std::memory_order_acquire)) return;
        if (tries % kLookEvery == 0 && has_ended(owner) && g_outside_owner.compare_exchange_strong(owner, self, std::memory_order_acquire)) return;
        sys(__NR_sched_yield);
    }
}

}  // namespace

void worker_errand(void (*errand)(void*), void* argument) {
    own_outside_errand();
    OutsideErrand e{errand, argument, {0}};
    g_outside_errand.store(&e, std::memory_order_seq_cst);
    while (!e.done.load(std::memory_order_acquire)) {
        // Whoever comes first; some may be stuck in the kernel.
        for (u32 i = 0; i < workers_started(); i++)
            if (!worker_at(i)->owner.load(std::memory_order_relaxed)) worker_kick(worker_at(i));
        timespec patience{0, long(kRetryKickNs)};
        sys(__NR_futex, &e.done, FUTEX_WAIT_PRIVATE, 0, &patience);
    }
    g_outside_owner.store(0, std::memory_order_release);
}

bool worker_errand_is_left(u32 owner) {
    u32 self = this_thread()->tid, expected = owner;
    if (!g_outside_owner.compare_exchange_strong(expected, self, std::memory_order_acquire)) return false;
    // Not begun, it never will be.
    bool begun = !g_outside_errand.exchange(nullptr, std::memory_order_acq_rel);
    g_outside_owner.store(0, std::memory_order_release);
    return begun;
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
    if (!t->owner) everywhere_catch_up(&t->everywhere_seen);
    if (__builtin_expect(g_errand_for.load(std::memory_order_acquire) == t, 0)) {
        Errand* e = g_errand;
        g_errand_for.store(nullptr, std::memory_order_relaxed);
        const u64* a = e->args;
        e->result = raw_syscall(e->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
        e->done.store(1, std::memory_order_release);
        sys(__NR_futex, &e->done, FUTEX_WAKE_PRIVATE, 1);
    }
    if (__builtin_expect(g_outside_errand.load(std::memory_order_relaxed) != nullptr, 0) && !t->owner) {
        if (OutsideErrand* e = g_outside_errand.exchange(nullptr, std::memory_order_acq_rel)) {
            e->run(e->argument);
            e->done.store(1, std::memory_order_release);
            sys(__NR_futex, &e->done, FUTEX_WAKE_PRIVATE, 1);
        }
    }
    if (__builtin_expect(g_stop.load(std::memory_order_seq_cst), 0)) stand_still();
}

void world_after_fork() {
    g_stop.store(0, std::memory_order_relaxed);
    g_stopped.store(0, std::memory_order_relaxed);
    g_world_owned.store(false, std::memory_order_relaxed);
    g_everywhere_owned.store(false, std::memory_order_relaxed);
    g_outside_errand.store(nullptr, std::memory_order_relaxed);
    g_outside_owner.store(0, std::memory_order_relaxed);
    g_errand_for.store(nullptr, std::memory_order_relaxed);
    g_errand_owned.store(false, std::memory_order_relaxed);
}

}  // namespace ocrun
