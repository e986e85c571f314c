// timers_posix.cc - POSIX timers whose signal goes to one thread, and their overruns (timer_create(2))
//
// The kernel cannot signal a coroutine: SIGEV_THREAD_ID becomes a signal to the process, and the timer's id tells drain
// whose it is. So each timer of the guest has a record from its creation to its deletion: a signal of one without is left over from a
// timer that was deleted meanwhile.
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
};

constexpr u32 kBuckets = 2 * kPageBytes / sizeof(Timer*);
Lock g_lock;  // taken last
Timer** g_timers;  // kBuckets chains, by the low bits of the id
Timer* g_free;
i32 g_highest = -1;  // of the ids there ever were

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

// 0 or -EAGAIN: no memory for the record, and the timer is gone again.
long note(i32 id, u32 tid) {
    {
        Locked held(g_lock);
        if (!g_timers) g_timers = (Timer**)pages_alloc(kBuckets * sizeof(Timer*));
        Timer** at = place_of(id);
        if (at && !*at && (*at = timer_alloc())) (*at)->next = nullptr;
        if (at && *at) {
            (*at)->id = id;
            (*at)->tid = tid;
            (*at)->overrun = 0;
            if (id > g_highest) g_highest = id;
            return 0;
        }
    }
    sys(__NR_timer_delete, id);
    return -EAGAIN;
}

}  // namespace

TimerSignal timer_signal_target(const siginfo_t& info, Coroutine** target) {
    u32 tid;
    {
        Locked held(g_lock);
        Timer* timer = find(info.si_timerid);
        // Another process may call its signal a timer's.
        if (!timer) return info.si_timerid > g_highest ? TimerSignal::of_process : TimerSignal::nobodys;
        tid = timer->tid;
    }
    if (!tid) return TimerSignal::of_process;
    Locked held(g_registry_lock);
    *target = registry_find(tid);
    return *target ? TimerSignal::of_thread : TimerSignal::nobodys;
}

void timer_signal_delivered(const siginfo_t& info) {
    Locked held(g_lock);
    if (Timer* timer = find(info.si_timerid)) timer->overrun = u32(info.si_overrun);
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

long posix_timer_created_natively(Coroutine* c, u64 guest_event, u64 guest_id) {
    SigEvent event;
    i32 id;
    if (get_guest(&id, (void*)guest_id)) return 0;  // another thread took the page away
    bool to_thread = guest_event && !get_guest(&event, (void*)guest_event) && event.notify == kThreadId;
    return note(id, to_thread ? c->tid : 0);
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
    r = note(id, to_thread ? tid : 0);
    if (r) return r;
    if (put_guest((void*)guest_id, id)) {
        posix_timer_forget(id);
        sys(__NR_timer_delete, id);
        return -EFAULT;
    }
    return 0;
}

}  // namespace ocrun
