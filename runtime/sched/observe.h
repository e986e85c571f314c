// observe.h - the hooks at which the scheduler shows itself; each is an instrumentation point of one nop and one test
//
// Called where it happens: a switch, a park, a wake, a thread's begin and end, a system call. A hook fires the USDT probe
// `ocrun:NAME` (a one-byte nop until a tracer replaces it) and, while somebody looks (oc_control.level, bpf/events.h), writes
// records. Hooks take no lock and never park; they may be called under any lock.
//
// Probes and their arguments, all integers:
//   co_switch  from tid (0: idle), to tid (0: idle), worker's kernel tid, why (enum oc_switch_why)
//   co_park    tid, system call number, detail (descriptor, address), text of what it waits for
//   co_wake    woken tid, waker's tid (0: not a coroutine), enum WakeReason
//   co_create  new tid, parent's tid
//   co_exit    tid
//   kblock     tid, system call number: its worker is blocked in the kernel
//   preempt    tid: its time slice is over
#pragma once
#include <sys/sdt.h>

#include "bpf/events.h"
#include "runtime/sched/worker.h"

namespace ocrun {

extern "C" oc_control oc_observe;
#ifdef OCRUN_UNOBSERVED  // for scripts/bench trace alone: what do the hooks cost while nobody looks?
#undef DTRACE_PROBE1
#undef DTRACE_PROBE2
#undef DTRACE_PROBE3
#undef DTRACE_PROBE4
#define DTRACE_PROBE1(...)
#define DTRACE_PROBE2(...)
#define DTRACE_PROBE3(...)
#define DTRACE_PROBE4(...)
inline constexpr bool kObservable = false;
#else
inline constexpr bool kObservable = true;
#endif
inline bool observed() { return kObservable && __builtin_expect(oc_observe.level != 0, 0); }
inline u32 observed_tid(const Coroutine* c) { return c ? c->tid : 0; }

// observe.cc: the way when somebody looks.
void observe_switch_slow(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc);
void observe_park_slow(Coroutine* c);
void observe_wake_slow(Coroutine* c, u32 reason);
// `more`: CREATE: the parent's tid; KBLOCK: the system call.
void observe_event_slow(u32 kind, Coroutine* c, u32 more = 0);
void observe_call_slow(Coroutine* c, u32 nr);
void observe_return_slow(Coroutine* c, u32 nr, long result);

// `tsc`: now; t->switched_in_tsc still says when `from` came.
inline void observe_switch(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc) {
    DTRACE_PROBE4(ocrun, co_switch, observed_tid(from), observed_tid(to), t->tid, why);
    if (kObservable) t->slot->co = observed_tid(to);
    if (observed()) observe_switch_slow(t, from, why, to, tsc);
}
// waits_for, waits_detail and parked_since_tsc are set.
inline void observe_park(Coroutine* c) {
    DTRACE_PROBE4(ocrun, co_park, c->tid, c->call_nr, c->waits_detail, c->waits_for);
    if (observed()) observe_park_slow(c);
}
// Before it can run: the coroutine is the caller's until it is in a queue.
inline void observe_wake(Coroutine* c, WakeReason reason) {
    DTRACE_PROBE3(ocrun, co_wake, c->tid, observed_tid(this_coroutine()), u32(reason));
    if (observed()) observe_wake_slow(c, u32(reason));
}
inline void observe_create(Coroutine* c, Coroutine* parent) {
    c->parent_tid = parent->tid;
    DTRACE_PROBE2(ocrun, co_create, c->tid, parent->tid);
    if (observed()) observe_event_slow(OC_EV_CREATE, c, parent->tid);
}
inline void observe_exit(Coroutine* c) {
    DTRACE_PROBE1(ocrun, co_exit, c->tid);
    if (observed()) observe_event_slow(OC_EV_EXIT, c);
}
inline void observe_preempt(Coroutine* c) {
    DTRACE_PROBE1(ocrun, preempt, c->tid);
    if (observed()) observe_event_slow(OC_EV_PREEMPT, c);
}
// A worker was found blocked in the kernel while it ran c (its system call is c->call_nr).
inline void observe_kblock(Coroutine* c) {
    DTRACE_PROBE2(ocrun, kblock, c->tid, c->call_nr);
    if (observed()) observe_event_slow(OC_EV_KBLOCK, c, c->call_nr);
}
// A system call begins and ends (a call that is repeated ends when it has its result).
inline void observe_call(Coroutine* c, u32 nr) {
    if (observed()) observe_call_slow(c, nr);
}
inline void observe_return(Coroutine* c, u32 nr, long result) {
    if (observed()) observe_return_slow(c, nr, result);
}

// Recording from the start, as the policy says.
void observe_begin(u32 level, const char* directory);
// The child of a fork writes records of its own.
void observe_after_fork();
// At a point where no lock is held: an agent wants its maps taken, or let go of (mirror.h).
void mirror_attend();
inline void observe_attend() {
    if (__builtin_expect(oc_observe.agent != oc_observe.mirrored, 0)) mirror_attend();
}
// Before a kernel thread's block is freed.
void observe_thread_gone(KThread* t);

}  // namespace ocrun
