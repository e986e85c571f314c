// workers_internal.h - what scheduler.cc and workers.cc know of each other
#pragma once
#include "runtime/sched/workers.h"

namespace ocrun {

// workers.cc: idle workers asleep.
bool sleeper_wake();  // one of them gets up; false: none sleeps
bool sleeper_exists();
void sleeper_register(KThread* t);
void sleeper_unregister(KThread* t);
bool worker_start_one();

// scheduler.cc
void worker_starts(KThread* t);  // signal mask and idle fiber of a new worker
[[noreturn]] void idle_loop();

}  // namespace ocrun
