// traced.cc - PTRACE_TRACEME of a process with one thread (see process.h)
#include <linux/ptrace.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/signal/host_signals.h"
#include "runtime/signal/signals.h"

namespace ocrun {
namespace {

// Faults that without a handler of the guest's are the kernel's: while they have to be seen first, they come to ours.
constexpr int kSeen[] = {SIGTRAP, SIGILL, SIGFPE};

}  // namespace

void tracing_wanted(Coroutine* c) {
    c->trace_me = true;
    for (int sig : kSeen)
        if (g_actions[sig].handler < 2) host_set_action(sig, true, false, SA_NODEFER);
}

void tracing_begins(Coroutine* c) {
    if (!c->trace_me || c->direct) return;
    tracing_dropped(c);
    sys(__NR_ptrace, PTRACE_TRACEME);
}

void tracing_dropped(Coroutine* c) {
    if (!c->trace_me || c->direct) return;
    c->trace_me = false;
    for (int sig : kSeen)
        if (g_actions[sig].handler < 2) host_sync_action(sig);
}

}  // namespace ocrun
