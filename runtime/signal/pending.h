// pending.h - queues of siginfo, for the process and for each coroutine
#pragma once
#include "runtime/signal/signals.h"

namespace ocrun {

struct SignalNode {
    SignalNode* next;
    siginfo_t info;
};

// All under g_signal_lock. Adding a standard signal that is already there is a no-op, as on Linux, unless a POSIX timer sent it.
void pending_add(PendingSignals* set, const siginfo_t& info);
bool pending_take(PendingSignals* set, int sig, siginfo_t* out);
void pending_remove(PendingSignals* set, u64 signals);
void pending_clear(PendingSignals* set);

}  // namespace ocrun
