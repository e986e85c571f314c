// mirror.h - rows of workers and coroutines in the BPF maps of an agent (bpf/agent), while there is one
//
// The agent is asked for the maps by a signal (host_signals.cc), at the next point at which no lock is held (attend). The map of
// workers is mapped over g_worker_slots, that of coroutines gives each coroutine a row. The descriptors are closed at once: the
// mappings keep the memory. The child of a fork has memory of its own again.
#pragma once
#include "runtime/sched/worker.h"

namespace ocrun {

// oc_observe.agent was changed: takes its maps, or lets go of those in use. No lock held.
void mirror_attend();
void mirror_after_fork();
void mirror_switch(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc);
void mirror_park(Coroutine* c);
void mirror_wake(Coroutine* c, u32 reason, u64 tsc);
// As observe_event_slow.
void mirror_event(u32 kind, Coroutine* c, u32 more);
void mirror_call(Coroutine* c, u32 nr);

}  // namespace ocrun
