// offload.h - helper threads for calls that can only block
//
// Bounded, started one by one when needed, never ended. A helper runs one system call at a time on behalf of a parked
// coroutine. It blocks every signal; a kick (tgkill with the internal signal) makes its call return -EINTR, whatever the
// moment, because the call is made through oc_syscall_intr.
#pragma once
#include "runtime/sched/scheduler.h"

namespace ocrun {

void offload_init(u32 threads_max);
// Parks c until the call is done. A signal for c interrupts the call; progress made is returned, else -EINTR.
long offload_call(Coroutine* c, u32 nr, const u64 args[6], const char* what);
// The same, and whether the kernel saw the call: one that never waits must not end with EINTR because of a signal from before it.
IntrResult offload_call_told(Coroutine* c, u32 nr, const u64 args[6], const char* what);
// The same for what no signal interrupts in the kernel: waits for a disk.
long offload_uninterruptible(Coroutine* c, u32 nr, const u64 args[6], const char* what);
void offload_after_fork();

// A kernel thread beside the workers that runs main(its KThread) and never returns; nullptr when the kernel refuses. The
// caller holds the lock that keeps its number from changing during `everywhere` (sched/workers.h).
KThread* helper_thread_start(void (*main)(void*));
// Its first act. Returns what everywhere_catch_up shall be told.
u32 helper_thread_begins(KThread* t, const char* name);

}  // namespace ocrun
