// preempt.cc - the tick that keeps a busy coroutine from starving the others
//
// A CLOCK_MONOTONIC timer signals the worker (CPU clocks fire on the kernel's 4 ms tick only). In guest code the handler
// saves the state and yields; in the runtime it is latched and the exit to the guest yields. A tick that finds the worker
// idle stops the timer; the next switch to a second coroutine starts it again.
#include <asm/errno.h>
#include <time.h>

#include "runtime/memory/trims.h"
#include "runtime/process/process.h"

namespace ocrun {

namespace {

u64 period_ns() { return g_policy->scheduler.quantum_max_ns ? g_policy->scheduler.quantum_max_ns : 1000000; }

void arm(KThread* t, u64 ns) {
    itimerspec spec{{0, long(ns)}, {0, long(ns)}};
    sys(__NR_timer_settime, t->tick_timer, 0, &spec, nullptr);
}

}  // namespace

void preempt_start() {
    if (!g_policy->scheduler.preempt) return;
    KThread* t = this_thread();
    if (!t->tick_made) {
        // struct sigevent as the kernel lays it out; SIGEV_THREAD_ID names this worker.
        struct {
            u64 value;
            int signo, notify, tid, pad[11];
        } event{u64(kInternalTick), kInternalSignal, SIGEV_SIGNAL | 4, int(t->tid), {}};
        if (is_error(sys(__NR_timer_create, CLOCK_MONOTONIC, &event, &t->tick_timer))) return;
        t->tick_made = true;
    }
    arm(t, period_ns());
}

void preempt_idle(bool idle) {
    if (idle) stack_trims_run(true);
    KThread* t = this_thread();
    if (t->tick_made) arm(t, idle ? 0 : period_ns());
}

}  // namespace ocrun
