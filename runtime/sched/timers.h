// timers.h - deadlines of parked coroutines on the monotonic clock
#pragma once
#include "runtime/context/coroutine.h"

namespace ocrun {

// One timer a coroutine. Fires wake(c, token, timeout).
void timer_arm(Coroutine* c, u64 token, u64 deadline_ns);
void timer_disarm(Coroutine* c);
// Wakes what is due at `now`; returns the next deadline (kNever when none).
u64 timers_run(u64 now);
u64 timers_next();  // the first deadline, kNever when none
bool timers_empty();
void timers_after_fork();
void timers_init();

}  // namespace ocrun
