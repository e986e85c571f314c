// host_signals.h - our handlers in the kernel: they latch, or abandon the guest's frame; they never do more
#pragma once
#include "runtime/signal/signals.h"

namespace ocrun {

// SIGSEGV, SIGBUS and the internal signal; the trap installs SIGSYS itself.
void host_install_own();
// Raw rt_sigaction: our handler, ignore, or default. extra_flags: SA_NOCLDSTOP, SA_NOCLDWAIT.
void host_set_action(int sig, bool ours, bool ignore, u64 extra_flags);
// Makes the host's disposition follow g_actions[sig]. Signal lock held.
void host_sync_action(int sig);
void host_action_to_default(int sig);
// The same even if the cached state says nothing changed.
void host_resync_action(int sig);

// The process's pending set; g_shared_pending_bits is its copy for lock-free looks. Signal lock held.
extern PendingSignals g_shared_pending;

// Asked for by SIGRTMAX with the dump's magic (runtime/process/dump.cc); runs in the handler.
extern void (*g_dump_hook)(const siginfo_t&);

}  // namespace ocrun
