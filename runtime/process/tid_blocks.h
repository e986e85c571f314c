// tid_blocks.h - thread ids that ocrun gives out, and which process of the tree has which
//
// Ids are in [2^22, 2^30): above the kernel's own, inside of FUTEX_TID_MASK, unique in the tree. A process takes them in blocks and
// leaves its name on each (host/handoff.h), so that others can tell whether the owner of a lock in shared memory is still there.
#pragma once
#include "runtime/host/handoff.h"

namespace ocrun {

u32 tid_allocate();
void tid_blocks_after_fork();
// True when the id is a thread's of a process that has ended. False also where that cannot be known (another pid namespace, no /proc).
// While a process is killed its last thread may still run for a moment.
bool tid_of_ended_process(u32 tid);

}  // namespace ocrun
