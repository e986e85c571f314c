// preempt.cc - the tick that keeps a busy coroutine from starving the others
//
// A CLOCK_MONOTONIC timer signals the worker (CPU clocks fire on the kernel's 4 ms tick only). In guest code the handler
// saves the state and yields; in the runtime it is latched and the exit to the guest yields. A tick that finds the worker
// idle stops the timer; the next switch to a second coroutine starts it again.
#include <asm/errno.h>
#include <time.h>

#include "runtime/process/process.h"

namespace ocrun {

namespace {

bool g_made;
int g_timer;
u64 g_period_ns = 1000000;

void arm(u64 period_ns) {
    itimerspec spec{{0, long(period_ns)}, {0, long(period_ns)}};
    sys(__NR_timer_settime, g_timer, 0, &spec, nullptr);
}

}  // namespace

void preempt_start() {
    if (!g_policy->scheduler.preempt) return;
    if (g_policy->scheduler.quantum_max_ns) g_period_ns = g_policy->scheduler.quantum_max_ns;
    if (!g_made) {
        // struct sigevent as the kernel lays it out; SIGEV_THREAD_ID names this worker.
        struct {
            u64 value;
            int signo, notify, tid, pad[11];
        } event{u64(kInternalTick), kInternalSignal, SIGEV_SIGNAL | 4, int(sys(__NR_gettid)), {}};
        if (is_error(sys(__NR_timer_create, CLOCK_MONOTONIC, &event, &g_timer))) return;
        g_made = true;
    }
    arm(g_period_ns);
}

void preempt_idle(bool idle) {
    if (g_made) arm(idle ? 0 : g_period_ns);
}

void preempt_after_fork() { g_made = false; }  // timers are not inherited

}  // namespace ocrun
