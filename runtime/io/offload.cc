// offload.cc - the helper threads (see offload.h)
#include "runtime/io/offload.h"

#include <asm/errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/prctl.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/io/ring.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/signals.h"

namespace ocrun {

struct OffloadJob {
    u32 nr;
    u64 args[6];
    long result;
    Coroutine* c;
    u64 token;
    KThread* runner;
    bool begun, done, cancelled;
    OffloadJob* next;
};

namespace {

Lock g_lock;  // the queue, the counts and every job's shared fields
OffloadJob *g_head, *g_tail;
u32 g_idle, g_queued, g_threads, g_threads_max = 64;
std::atomic<u32> g_posted{0};  // futex word of idle helpers
KThread* g_all;                // linked through next_idle

void finish(OffloadJob* job, IntrResult r) {
    u64 token;
    Coroutine* c = job->c;
    {
        Locked held(g_lock);
        job->result = r.result;
        job->begun = r.begun;
        job->runner = nullptr;
        job->done = true;
        token = job->token;
    }
    // From here on the job's memory (the coroutine's stack) may be gone; the coroutine itself is type-stable.
    wake(c, token, WakeReason::woken);
}

void helper_main(void* argument) {
    KThread* t = (KThread*)argument;
    u32 seen = helper_thread_begins(t, "ocrun-offload");
    for (;;) {
        t->latched.store(0, std::memory_order_seq_cst);
        everywhere_catch_up(&seen);
        u32 posted = g_posted.load(std::memory_order_acquire);
        OffloadJob* job;
        {
            Locked held(g_lock);
            job = g_head;
            if (job) {
                g_head = job->next;
                if (!g_head) g_tail = nullptr;
                g_queued--;
                job->runner = t;
            } else {
                g_idle++;
            }
        }
        if (!job) {
            sys(__NR_futex, &g_posted, FUTEX_WAIT_PRIVATE, posted, nullptr);
            Locked held(g_lock);
            g_idle--;
            continue;
        }
        IntrResult r{-EINTR, false};
        for (;;) {
            const u64* a = job->args;
            if (job->cancelled) break;
            bool before = r.begun;
            r = oc_syscall_intr_told(job->nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
            r.begun |= before;
            if (r.result != -EINTR || job->cancelled) break;
            // Kicked for the credentials' sake, not for the job's.
            t->latched.store(0, std::memory_order_seq_cst);
            everywhere_catch_up(&seen);
        }
        finish(job, r);
    }
}

// g_lock held.
void start_helper() {
    KThread* t = helper_thread_start(helper_main);
    if (!t) return;
    t->next_idle = g_all;
    g_all = t;
    g_threads++;
}

}  // namespace

namespace {
u32 everywhere_begin();
void everywhere_end();
}  // namespace

KThread* helper_thread_start(void (*main)(void*)) {
    KThread* t = kthread_alloc(ThreadKind::offload);
    if (!t) return nullptr;
    t->schedule_count = everywhere_generation();
    u64 all = ~kHostNeverBlocked, old = 0;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
    long tid = oc_clone_child(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, kthread_stack_top(t),
                              nullptr, nullptr, main, t);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &old, nullptr, 8);
    if (is_error(tid)) {
        kthread_free(t);
        return nullptr;
    }
    t->tid = u32(tid);
    return t;
}

u32 helper_thread_begins(KThread* t, const char* name) {
    trap_thread_attach(t);
    open_all_keys();
    t->tid = u32(sys(__NR_gettid));
    sys(__NR_prctl, PR_SET_NAME, name);
    cpus_other();
    return t->schedule_count;  // the generation at creation: credentials are inherited
}

void offload_init(u32 threads_max) {
    g_everywhere_helpers = {everywhere_begin, everywhere_end};
    if (threads_max) g_threads_max = threads_max;
}

namespace {

IntrResult offload(Coroutine* c, u32 nr, const u64 args[6], const char* what, bool interruptible) {
    OffloadJob job{};
    job.nr = nr;
    memcpy(job.args, args, sizeof job.args);
    job.c = c;
    job.token = wait_begin(c, interruptible);
    bool alone;  // not job.done: a helper may have done it before the lock is left
    {
        Locked held(g_lock);
        if (g_tail)
            g_tail->next = &job;
        else
            g_head = &job;
        g_tail = &job;
        // An idle helper that was woken for an earlier job still counts as idle, so compare with all that wait.
        if (++g_queued > g_idle && g_threads < g_threads_max) start_helper();
        alone = !g_threads;
        if (alone) {
            // Not one helper can be had: the worker itself blocks, which is slow but right.
            g_head = g_tail = nullptr;
            g_queued--;
        }
        g_posted.fetch_add(1, std::memory_order_release);
    }
    if (alone) {
        wake(c, job.token, WakeReason::woken);
        wait_park(c, kNever, what, args[0]);
        if (!interruptible) return {sys(nr, args[0], args[1], args[2], args[3], args[4], args[5]), true};
        return oc_syscall_intr_told(nr, (long)args[0], (long)args[1], (long)args[2], (long)args[3], (long)args[4], (long)args[5]);
    }
    sys(__NR_futex, &g_posted, FUTEX_WAKE_PRIVATE, 1);
    for (;;) {
        WakeReason why = wait_park(c, kNever, what, args[0]);
        u32 kick = 0;
        {
            Locked held(g_lock);
            if (job.done) return {job.result, job.begun};
            if (why != WakeReason::woken && !job.cancelled) {
                job.cancelled = true;
                if (job.runner) {
                    kick = job.runner->tid;
                } else {
                    for (OffloadJob **at = &g_head, *previous = nullptr; *at; previous = *at, at = &(*at)->next)
                        if (*at == &job) {
                            *at = job.next;
                            if (g_tail == &job) g_tail = previous;
                            g_queued--;
                            return {-EINTR, false};
                        }
                }
            }
            job.token = wait_begin(c, false);
        }
        if (kick) thread_interrupt(kick);
    }
}

}  // namespace

long offload_call(Coroutine* c, u32 nr, const u64 args[6], const char* what) { return offload(c, nr, args, what, true).result; }

IntrResult offload_call_told(Coroutine* c, u32 nr, const u64 args[6], const char* what) { return offload(c, nr, args, what, true); }

long offload_uninterruptible(Coroutine* c, u32 nr, const u64 args[6], const char* what) {
    return offload(c, nr, args, what, false).result;
}

namespace {

u32 everywhere_begin() {
    g_lock.lock();
    return g_threads + ring_everywhere_begin();
}

void everywhere_end() {
    ring_everywhere_end();
    g_posted.fetch_add(1, std::memory_order_release);
    for (KThread* t = g_all; t; t = t->next_idle) worker_kick(t);
    g_lock.unlock();
    sys(__NR_futex, &g_posted, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

}  // namespace

void offload_after_fork() {
    g_lock.reset();
    g_head = g_tail = nullptr;
    g_idle = g_queued = g_threads = 0;
    g_all = nullptr;
}

}  // namespace ocrun
