// monitor.cc - see monitor.h
#include "runtime/sched/monitor.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/permit.h"
#include "runtime/sched/scheduler.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/workers_internal.h"

namespace ocrun {

std::atomic<u32> g_monitor_asleep{0};
u32 g_monitor_tid;

namespace {

constexpr u64 kShortestNs = 20000, kLongestNs = 10000000;
// So many looks without a finding before the pause between them grows (1 ms at the shortest, as Go's).
constexpr u32 kQuietLooks = 50;
// A worker that used less than this part of the time between two looks did not run.
constexpr u64 kIdlePart = 64;
// A worker that computes takes its ticks. One that used the CPU for so many periods and took none computes in the kernel.
constexpr u64 kTicksMissed = 4;

std::atomic<KThread*> g_monitor{nullptr};
std::atomic<u32> g_own_table{0};  // it has closed its copies of the guest's descriptors
Lock g_start_once;
std::atomic<u32> g_word{0};  // futex: 1 ends the present pause
std::atomic<void (*)()> g_errand{nullptr};

// CPU time of a kernel thread: a clock id as of pthread_getcpuclockid(3).
u64 thread_cpu_ns(u32 tid) {
    timespec t{};
    sys(__NR_clock_gettime, i32(~tid << 3 | 6), &t);
    return u64(t.tv_sec) * 1000000000ul + u64(t.tv_nsec);
}

// The state of a worker's thread as /proc tells it; 0: it does not. The file stays open: looking it up costs more than reading it.
char told_state(int tasks, KThread* t) {
    for (int tries = 0; tries < 2 && tasks >= 0; tries++) {
        if (t->stat_tid != t->tid) {
            if (t->stat_tid) sys(__NR_close, t->stat_file);
            t->stat_tid = 0;
            TextBuffer<32> name;
            name.dec(t->tid).add("/stat");
            long fd = sys(__NR_openat, tasks, name.c_str(), O_RDONLY | O_CLOEXEC);
            if (fd == -EMFILE && !tries) {  // one at a time, then
                for (u32 i = 0; i < workers_started(); i++)
                    if (KThread* other = worker_at(i); other && other->stat_tid) sys(__NR_close, other->stat_file), other->stat_tid = 0;
                continue;
            }
            if (is_error(fd)) return fd == -ENOENT ? 'X' : 0;
            t->stat_tid = t->tid;
            t->stat_file = i32(fd);
        }
        char text[64];  // "TID (name) S ...", and a name has 15 characters at most
        long n = sys(__NR_pread64, t->stat_file, text, sizeof text, 0);
        for (long i = n - 1; i > 1; i--)
            if (text[i - 2] == ')' && text[i - 1] == ' ') return text[i];
        sys(__NR_close, t->stat_file);  // of a thread of that number before this one
        t->stat_tid = 0;
    }
    return 0;
}

// Does the thread sleep, whose clock said `cpu` a moment ago? Also true where the kernel does not say anything: two looks without CPU
// time have to do.
bool sleeps(int tasks, KThread* t, u64 cpu) {
    if (thread_cpu_ns(t->tid) != cpu) return false;
    char state = told_state(tasks, t);
    return !state || state == 'S' || state == 'D';
}

// suspect: sleeps now, ran since the last look; candidate: did not run; acted: a place was retaken, or somebody kicked.
enum class Finding : u8 { nothing, suspect, candidate, acted };

// Computes in the kernel for long: a system call on a large mapping, or a fault that is tried again and again.
bool deaf(KThread* t, u64 now) {
    u32 ticks = __atomic_load_n(&t->ticks, __ATOMIC_RELAXED);
    u64 period = t->tick_ns.load(std::memory_order_relaxed);
    // Without ticks: as long as nobody kicks it. A shorter period than it had says nothing about the time before.
    if (ticks != t->seen_ticks || period != t->seen_period_ns || !(period || (g_tick_max_ns && t->kicked.load(std::memory_order_relaxed)))) {
        t->seen_ticks = ticks;
        t->seen_period_ns = period;
        t->out_of_kernel_ns = now;
    }
    return now - t->out_of_kernel_ns > kTicksMissed * (period ? period : g_tick_max_ns);
}

// The place of a stuck worker goes to a spare one. Where there is none because there never was a second worker, the stuck one has to
// start it, if a signal gets it out of the kernel; if not, it starts one for the next time. True when something was done.
bool take_over(KThread* t, bool* retaken) {
    if (worker_may_take_over()) {
        if (!worker_retake(t)) return false;
        *retaken = true;
        return true;
    }
    if (t->kicked.load(std::memory_order_relaxed)) return false;
    t->wants_spare.store(true, std::memory_order_relaxed);
    t->need_resched.store(true, std::memory_order_seq_cst);
    worker_kick(t);
    return true;
}

Finding look(int tasks, u64 now, u64 elapsed_ns, bool* all_idle) {
    // Whoever is stuck cannot unpark anybody. The only worker does so once it is kicked out of the kernel (permit.h), when it starts
    // another one.
    bool owed = false;
    for (u32 i = 0; i < workers_started(); i++)
        if (KThread* t = worker_at(i))
            if (Coroutine* c = static_cast<Coroutine*>(__atomic_load_n(&t->current, __ATOMIC_ACQUIRE))) {
                if (!only_worker())
                    pay_owed(c);
                else
                    owed = c->owed.load(std::memory_order_relaxed);
            }
    Finding found = Finding::nothing;
    bool waiting = owed || work_waits(), idle = somebody_idle(), retaken = false, alone = registry().size() < 2;
    *all_idle = true;
    for (u32 i = 0; i < workers_started(); i++) {
        KThread* t = worker_at(i);
        if (!t || t->owner.load(std::memory_order_relaxed) || t->ended || __atomic_load_n(&t->slot->state, __ATOMIC_SEQ_CST) == OC_WORKER_IDLE) continue;
        *all_idle = false;
        u64 cpu = thread_cpu_ns(t->tid);
        u32 schedules = __atomic_load_n(&t->schedule_count, __ATOMIC_RELAXED);
        bool switched = schedules != t->seen_schedules, moved = switched || cpu - t->seen_cpu_ns > elapsed_ns / kIdlePart;
        if (switched) t->out_of_kernel_ns = now;
        t->seen_cpu_ns = cpu;
        t->seen_schedules = schedules;
        if (__atomic_load_n(&t->storm_held, __ATOMIC_RELAXED) && now - t->storm_released_ns > kStormHeldNs) {
            t->storm_released_ns = now;
            t->storm_release.store(true, std::memory_order_relaxed);
            worker_kick(t);
        }
        if (t->retaken.load(std::memory_order_seq_cst)) {
            retaken = true;
            // Back, and computing without a place: it has to look.
            if (moved && !t->need_resched.exchange(true, std::memory_order_relaxed)) {
                worker_kick(t);
                found = Finding::acted;
            }
            continue;
        }
        if (alone || !(waiting || !idle)) {
            t->stuck_looks = 0;
            continue;
        }
        // With BPF the kernel has said so at the moment it happened: no need to ask /proc, nor for a second look.
        if (oc_observe.mirrored && __atomic_load_n(&t->slot->kstate, __ATOMIC_ACQUIRE) == BLOCKED) {
            if (now - t->slot->kblock_since_ns < kShortestNs && now > t->slot->kblock_since_ns) {
                if (found == Finding::nothing) found = Finding::suspect;
                continue;
            }
            t->stuck_looks = 0;
            bool before = retaken;
            if (take_over(t, &retaken)) found = Finding::acted;
            t->slot->handovers_told += retaken && !before;
            continue;
        }
        bool told = t->slot->state == OC_WORKER_NATIVE && t->slot->expect_block;
        bool busy_in_kernel = deaf(t, now) && moved;
        if (!busy_in_kernel && ((moved && !told) || !sleeps(tasks, t, cpu))) {
            t->stuck_looks = 0;
            // It may have blocked just now: the next look is a short time away.
            if (moved && found == Finding::nothing && sleeps(tasks, t, cpu)) found = Finding::suspect;
            continue;
        }
        if (!busy_in_kernel && ++t->stuck_looks < 2) {
            if (found < Finding::candidate) found = Finding::candidate;
            continue;
        }
        t->stuck_looks = 0;
        if (take_over(t, &retaken)) found = Finding::acted;
    }
    poller_check_timers();
    if (waiting || (retaken && !idle && !alone)) call_for_help();
    return found;
}

void pause(u64 ns) {
    timespec t{0, long(ns)};
    oc_syscall_intr(__NR_futex, (long)&g_word, FUTEX_WAIT_PRIVATE, 0, (long)(ns ? &t : nullptr), 0, 0);
    g_word.store(0, std::memory_order_seq_cst);
}

void monitor_main(void* argument) {
    KThread* t = (KThread*)argument;
    trap_thread_attach(t);
    cpus_other();
    t->tid = g_monitor_tid = u32(sys(__NR_gettid));
    sys(__NR_prctl, PR_SET_NAME, "ocrun-monitor");
    // From here on with a table of its own, empty but for one directory.
    int tasks = -1;
    if (!is_error(sys(__NR_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE)))
        tasks = int(sys(__NR_openat, AT_FDCWD, "/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC));
    g_own_table.store(1, std::memory_order_release);
    sys(__NR_futex, &g_own_table, FUTEX_WAKE_PRIVATE, 1 << 30);
    u32 quiet = 0;
    u64 delay = kShortestNs, last = now_ns();
    Finding found = Finding::nothing;
    for (;;) {
        pause(found == Finding::suspect ? kShortestNs : delay);
        t->latched.store(0, std::memory_order_seq_cst);
        everywhere_catch_up(&t->everywhere_seen);
        if (world_stopping()) continue;
        if (auto errand = g_errand.exchange(nullptr, std::memory_order_seq_cst)) errand();
        u64 now = now_ns();
        bool all_idle, again = found == Finding::suspect;
        found = look(tasks, now, now - last, &all_idle);
        last = now;
        // A suspicion is worth one short pause, not a series of them: workers that wait a little now and then are no news.
        if (found == Finding::suspect && again) found = Finding::nothing;
        if (found == Finding::suspect) continue;
        if (found == Finding::acted) quiet = 0;
        if (found != Finding::nothing) {
            delay = kShortestNs;
            continue;
        }
        if (quiet < kQuietLooks)
            quiet++;
        else
            delay = delay * 2 < kLongestNs ? delay * 2 : kLongestNs;
        if (delay < kLongestNs || !(all_idle || registry().size() < 2)) continue;
        if (all_idle) idle_work();
        g_monitor_asleep.store(1, std::memory_order_seq_cst);
        // Somebody may have begun to run before the flag could be seen.
        now = now_ns();
        look(tasks, now, now - last, &all_idle);
        if (all_idle || registry().size() < 2) pause(0);
        g_monitor_asleep.store(0, std::memory_order_seq_cst);
        last = now_ns();
    }
}

}  // namespace

void monitor_wake_now() {
    if (!g_monitor_asleep.exchange(0, std::memory_order_seq_cst)) return;
    g_word.store(1, std::memory_order_seq_cst);
    sys(__NR_futex, &g_word, FUTEX_WAKE_PRIVATE, 1);
}

bool monitor_run(void (*errand)()) {
    if (!g_monitor.load(std::memory_order_acquire)) return false;
    g_errand.store(errand, std::memory_order_seq_cst);
    g_word.store(1, std::memory_order_seq_cst);
    sys(__NR_futex, &g_word, FUTEX_WAKE_PRIVATE, 1);
    return true;
}

void monitor_start() {
    if (g_monitor.load(std::memory_order_acquire) || !g_start_once.try_lock()) return;
    if (!g_monitor.load(std::memory_order_acquire))
        if (KThread* t = helper_start(ThreadKind::monitor, monitor_main)) g_monitor.store(t, std::memory_order_release);
    worker_ensure_wanted_spare();
    g_start_once.unlock();
}

void monitor_wait_for_own_table() {
    constexpr int kSlices = 100;
    const timespec slice{0, 10000000};
    for (int i = 0; i < kSlices && g_monitor.load(std::memory_order_acquire) && !g_own_table.load(std::memory_order_acquire); i++)
        sys(__NR_futex, &g_own_table, FUTEX_WAIT_PRIVATE, 0, &slice);
}

void monitor_after_fork() {
    g_own_table.store(0, std::memory_order_relaxed);
    if (KThread* t = g_monitor.exchange(nullptr)) kthread_free(t);
    g_monitor_tid = 0;
    g_start_once.reset();
    g_monitor_asleep.store(0, std::memory_order_relaxed);
    g_word.store(0, std::memory_order_relaxed);
    g_errand.store(nullptr, std::memory_order_relaxed);
}

u32 monitor_threads() { return g_monitor.load(std::memory_order_acquire) ? 1 : 0; }

void monitor_kick() {
    if (KThread* t = g_monitor.load(std::memory_order_acquire)) worker_kick(t);
}

}  // namespace ocrun
