// preempt.cc - a coroutine that goes on computing, or whose worker is stuck in the kernel, makes room for the others
#include <asm/errno.h>

#include <algorithm>

#include "runtime/sched/spin.h"
#include "runtime/sched/switch.h"
#include "runtime/sched/timers.h"

namespace ocrun {

namespace {

// The calling worker lost its place while it was in the kernel. True when it has one again; false: c was requeued and is
// chosen now, on whatever worker.
bool still_active(Coroutine* c) {
    if (!this_thread()->retaken.load(std::memory_order_relaxed)) return true;
    if (worker_reclaim(true)) {
        tick_want(false);  // its place may have been that of the idle one who polled
        return true;
    }
    switch_to(c, After::surplus, nullptr);
    return false;
}

// Did the signal that brought us here interrupt a call the guest made in the kernel, which is to be restarted? The kernel
// leaves rcx behind the `syscall` and sets rip back on it.
bool in_kernel_call(const Coroutine* c) { return c->regs.rcx == c->regs.rip + 2; }

// Who comes next where only ticks switch. The common queue gets its turn by ticks: sixty of them would be long.
Coroutine* next_by_tick(Coroutine* c) {
    KThread* t = this_thread();
    constexpr u32 kCommonTurn = 4;
    Coroutine* next = ++t->schedule_count % kCommonTurn == 0 ? take_injected() : nullptr;
    if (!next && !outranks(c, t)) next = next_ready();
    return next;
}

// Who does not run waits for words that the others write, for signals or for time, for no descriptor: nobody has to look for news.
bool no_news_to_look_for() {
    constexpr size_t kLook = 64;
    if (!g_registry_lock.try_lock()) return false;
    bool only = registry().size() <= kLook;
    if (only)
        for (const Coroutine& c : registry()) {
            const char* what = __atomic_load_n(&c.waits_for, __ATOMIC_RELAXED);
            if (what && !waits_for_no_descriptor(what)) only = false;
        }
    g_registry_lock.unlock();
    return only;
}

void make_way(Coroutine* c, Coroutine* next) {
    // A tick that came meanwhile was not meant for the next one, which would lose its turn; a kick for what is in the common queue was.
    if (!g_inject_count.load(std::memory_order_relaxed)) this_thread()->need_resched.store(false, std::memory_order_relaxed);
    switch_to(c, After::requeue, next);
}

u64 room_before(u64 deadline_ns) {
    if (deadline_ns == kNever) return kNoTimer;
    u64 now = now_or_earlier_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

// So many ticks in a row that find whoever waits here in a loop, and nothing that came of it, are enough: they come less often then.
constexpr u32 kFutileTicks = 16;

// So many that find nobody new: news are rare.
constexpr u32 kQuietTicks = 50;
// After so many without anybody idle, and again after as many more, another worker is to look for news.
constexpr u32 kTicksAlone = 8;

// c waits in a loop of its own: whoever is ready, here or elsewhere, comes first. False: nobody is.
bool make_room(Coroutine* c) {
    KThread* t = this_thread();
    Coroutine* next = next_by_tick(c);
    if (!next && !c->priority) next = steal();
    if (!next) return false;
    t->tick_schedules = t->schedule_count;
    tick_adapt(true, t->futile_ticks > kFutileTicks, false, News::likely, room_before(timers_next()));
    if (t->run_count.load(std::memory_order_relaxed)) call_for_help();
    make_way(c, next);
    return true;
}

}  // namespace

void yield_now(Coroutine* c) {
    if (c->pinned) {
        sys(__NR_sched_yield);
        return;
    }
    pay_owed(c);
    if (!still_active(c)) return;
    KThread* t = this_thread();
    bool empty = !t->run_count.load(std::memory_order_relaxed) && !g_inject_count.load(std::memory_order_relaxed);
    if (empty || ++t->schedule_count % kHousekeepingSwitches == 0) housekeeping();
    Coroutine* next = next_ready();
    if (next) switch_to(c, After::requeue, next);
}

bool preempted(Coroutine* c, bool ticked) {
    pay_owed(c);
    if (c->pinned) return false;  // there is nobody else
    if (this_thread()->retaken.load(std::memory_order_relaxed) && in_kernel_call(c)) {
        // Still in its call, which is restarted; nothing of this worker's is anybody's business until the call is over.
        tick_stop();
        return false;
    }
    if (!still_active(c)) return true;
    if (!ticked) return false;
    affinity_relax();
    if (__builtin_expect(this_thread()->wants_spare.load(std::memory_order_relaxed), 0)) {
        this_thread()->wants_spare.store(false, std::memory_order_relaxed);
        if (!in_kernel_call(c)) worker_ensure_spare();
    }
    observe_preempt(c);
    KThread* t = this_thread();
    Spin spin = spin_look(c);
    bool waits = spin != Spin::no;
    t->waits_in_a_row = spin == Spin::waits_idly ? t->waits_in_a_row + 1 : 0;
    // It made calls and waits now, or all who are here did nothing but wait. Other programs first: perhaps one of them has to do
    // what they wait for.
    if (spin == Spin::waits || t->waits_in_a_row > t->run_count.load(std::memory_order_relaxed)) {
        t->waits_in_a_row = 0;
        sys(__NR_sched_yield);
    }
    housekeeping();
    bool queued = t->run_count.load(std::memory_order_relaxed) || g_inject_count.load(std::memory_order_relaxed);
    if (!queued && spin == Spin::no && c->priority >= 0 && !in_kernel_call(c)) queued = take_share();
    if (in_kernel_call(c) && (queued || !somebody_idle())) {
        // Others wait, and this one waits in the kernel, in a call of the guest's that is none of ours. It is not to be disturbed
        // again: the place and the queue go to another worker.
        if (worker_retake(t)) {
            tick_stop();
            give_queue_away(t);
            call_for_help();
            return false;
        }
    }
    // Who waits in epoll looks after timers and descriptors from now on. One that sleeps on its futex does not: it has to get up
    // and become the one that does; until then this worker goes on looking.
    bool relieved = idle_poller() != nullptr, alone = !somebody_idle();
    if (!relieved && sleeper_exists()) sleeper_wake();
    if (relieved && !queued) poller_check_timers();
    // Where the queue moves by itself nobody has had a whole period yet: no switch, and ticks may come less often.
    constexpr u32 kMoves = 2;
    bool roused = !t->tick_ns.load(std::memory_order_relaxed);  // no ticks to count from
    bool moves = !roused && t->schedule_count - t->tick_schedules >= kMoves;
    // Nobody here made a call, and nobody new came.
    u32 waiting = t->run_count.load(std::memory_order_relaxed);
    bool same = t->calls == t->tick_calls && waiting <= t->tick_waiting && !g_inject_count.load(std::memory_order_relaxed);
    // All compute, and longer slices cost nobody anything.
    bool computes = !waits && same;
    t->tick_calls = t->calls;
    t->tick_waiting = waiting;
    t->futile_ticks = waits && same ? t->futile_ticks + 1 : 0;
    t->quiet_ticks = computes ? t->quiet_ticks + 1 : 0;
    t->computes.store(computes && !moves, std::memory_order_relaxed);
    if (waits && make_room(c)) return true;
    t->tick_schedules = t->schedule_count;
    if (computes && !moves && waiting > 1) offer_share();
    // What one waits for may come from a descriptor that nobody else looks at.
    bool in_turns = queued || (waits && !relieved && t->futile_ticks < kFutileTicks), undisturbed = computes && no_news_to_look_for();
    bool looked_after = relieved || registry().size() < 2 || undisturbed;
    u64 timer = relieved ? kNever : timers_next();
    if (roused && (in_turns || !looked_after || timer != kNever)) tick_want(in_turns);
    News news = undisturbed ? News::none : t->quiet_ticks > kQuietTicks ? News::rare : News::likely;
    tick_adapt(in_turns, moves || computes, looked_after, news, room_before(timer));
    if (undisturbed && !relieved) {
        if (!t->tick_ns.load(std::memory_order_relaxed)) g_hooks.idle();
        // What came before others could see that ticks are far here (worker_rouse).
        std::atomic_thread_fence(std::memory_order_seq_cst);
        bool came = g_inject_count.load(std::memory_order_relaxed) != 0;
        if (came || !no_news_to_look_for() || timers_next() < timer) tick_want(came || in_turns);
    }
    // Another one should look for news at once, and need not compute for it.
    if (!looked_after && alone && !queued && !moves && std::max(t->quiet_ticks, t->futile_ticks) % kTicksAlone == kTicksAlone - 1) worker_start_one();
    // Those who take turns in the same order for ever may keep each other from getting on, or one that they wake again and again: natively
    // the end of a slice breaks the order now and then.
    constexpr u32 kBreaksOrder = 8;
    if (moves && ++t->moving_ticks % kBreaksOrder != 0) {
        if (t->run_count.load(std::memory_order_relaxed) > 1 || g_inject_count.load(std::memory_order_relaxed)) call_for_help();
        return true;
    }
    // Somebody idle may take what waits here; if all are busy this one makes room.
    if (queued) call_for_help();
    Coroutine* next = next_by_tick(c);
    if (next) make_way(c, next);
    return true;
}

IntrResult blocking_syscall(u32 nr, const u64 a[6]) {
    KThread* t = this_thread();
    if (t->current) pay_owed(static_cast<Coroutine*>(t->current));
    if (!g_multi || t->kind != ThreadKind::worker)
        return oc_syscall_intr_told(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    oc_worker_slot* slot = t->slot;
    slot->nr = nr;
    slot->since_tsc = __builtin_ia32_rdtsc();
    slot->expect_block = 1;
    __atomic_store_n(&slot->state, OC_WORKER_NATIVE, __ATOMIC_RELEASE);
    IntrResult r = oc_syscall_intr_told(nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    slot->state = OC_WORKER_RUNNING;
    slot->expect_block = 0;
    if (r.result == -EINTR && t->need_resched.exchange(false, std::memory_order_relaxed)) {
        // A tick found it waiting: its place is worth more to others.
        if (!t->retaken.load(std::memory_order_relaxed) && registry().size() > 1 &&
            (t->run_count.load(std::memory_order_relaxed) || g_inject_count.load(std::memory_order_relaxed) || !somebody_idle()))
            worker_retake(t);
        tick_stop();
        give_queue_away(t);
        call_for_help();
    }
    return r;
}

}  // namespace ocrun
