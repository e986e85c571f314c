// cpus.h - which CPUs kernel threads of ours run on: all that are allowed, or one each (pin_workers)
#pragma once
#include "runtime/sched/worker.h"

namespace ocrun {

inline constexpr u32 kAffinityWords = 16;

// Before the first worker's cpus_worker. pin: worker i stays on the i-th CPU that the process may use, counted round.
void cpus_init(bool pin);
// By a new worker itself, and by the only one of a fork's child; nothing without `pin`.
void cpus_worker(KThread* t, u32 index);
// By a kernel thread that was made from a worker's and is none: all CPUs again.
void cpus_other();
// Around an exec: the new program finds the CPUs that c sees; when it failed the worker has its own again.
void cpus_before_exec(const Coroutine* c);
void cpus_exec_failed();
bool cpus_pinned();
// What the process may use, whatever the calling thread is bound to; nullptr: ask the kernel.
const u64* cpus_allowed();

}  // namespace ocrun
