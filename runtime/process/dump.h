// dump.h - every coroutine of the process in words: who it is, what it does or waits for, since when, from where
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

// `ocrun dump PID` sends the internal signal with this magic; the dump goes to the abstract socket "ocrun-dump-<pid of the
// asker>" or, when nobody listens there, to standard error.
void dump_init();
// Writes the dump to fd, as far as its reader takes it within a second. Takes no lock and no memory: works in a handler and in a deadlock; a list that changes meanwhile
// may be cut short.
void dump_coroutines(int fd);

}  // namespace ocrun
