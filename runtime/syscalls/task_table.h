// task_table.h - the runtime's side of libocrun: the table of functions that guests call without a trap (api/table.h)
#pragma once
#include "runtime/api/table.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

// arch_prctl(OC_TABLE_PRCTL, &where): 0, -EFAULT, or -EINVAL for the child of a vfork, which must not touch the scheduler.
long task_table_where(Call& call);

}  // namespace ocrun
