// timers_posix.cc - POSIX timers whose signal goes to one thread, and signalfd (timer_create(2), signalfd(2))
//
// The kernel cannot signal a coroutine: SIGEV_THREAD_ID becomes a signal to the process, and the timer's id tells drain
// whose it is.
#include <asm/errno.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/signal/signals.h"

namespace ocrun {

namespace {

constexpr int kMostTimers = 4096;
struct Target {
    u32 tid;      // 0: the signal is for the process
    u32 overrun;  // of the last delivered expiration
};
Target* g_targets;  // by kernel timer id

struct SigEvent {
    u64 value;
    i32 signo, notify;
    i32 tid;
    i32 pad[11];
};
static_assert(sizeof(SigEvent) == 64);
constexpr i32 kThreadId = 4;  // SIGEV_THREAD_ID

// nullptr: not kept (no memory, or one of very many timers).
Target* target_of(i32 id) {
    if (!g_targets) {
        static Lock making;
        Locked held(making);
        if (!g_targets) g_targets = (Target*)pages_alloc(kMostTimers * sizeof(Target));
    }
    return g_targets && u32(id) < u32(kMostTimers) ? &g_targets[id] : nullptr;
}

}  // namespace

Coroutine* timer_signal_target(const siginfo_t& info) {
    if (!g_targets || u32(info.si_timerid) >= u32(kMostTimers)) return nullptr;
    u32 tid = g_targets[info.si_timerid].tid;
    if (!tid) return nullptr;
    Locked held(g_registry_lock);
    return registry_find(tid);
}

void timer_signal_delivered(const siginfo_t& info) {
    // A timer may be from the time before the second thread, when nothing was noted of it.
    if (Target* t = target_of(info.si_timerid)) t->overrun = u32(info.si_overrun);
}

long posix_timer_overrun(i32 id) {
    if (!g_targets || u32(id) >= u32(kMostTimers)) return 0;
    return i32(g_targets[id].overrun);
}

void posix_timer_created_alone(Coroutine* c, u64 guest_event, u64 guest_id) {
    SigEvent event;
    i32 id;
    if (!get_guest(&event, (void*)guest_event) && (event.notify & kThreadId) && !get_guest(&id, (void*)guest_id))
        if (Target* t = target_of(id)) *t = {c->tid, 0};
}

long posix_timer_create(Coroutine*, i32 clock, u64 guest_event, u64 guest_id) {
    SigEvent event;
    if (get_guest(&event, (void*)guest_event)) return -EFAULT;
    i32 id = 0;
    u32 tid = u32(event.tid);
    bool to_thread = event.notify & kThreadId;
    if (to_thread) {
        Locked held(g_registry_lock);
        if (!registry_find(tid)) return -EINVAL;
    }
    if (to_thread) {
        event.notify &= ~kThreadId;
        event.tid = 0;
    }
    long r = sys(__NR_timer_create, clock, &event, &id);
    if (is_error(r)) return r;
    if (Target* t = target_of(id)) *t = {to_thread ? tid : 0, 0};
    if (put_guest((void*)guest_id, id)) {
        sys(__NR_timer_delete, id);
        return -EFAULT;
    }
    return 0;
}

}  // namespace ocrun
