// rewrite.h - lazily turning hot system call sites into jumps to the runtime
//
// The trap makes the runtime complete, rewriting makes it fast: a site that trapped kHotTraps times is looked at
// (rewrite/plan.h), and if that is safe the instruction before it becomes a jump to a stub. Everything else stays on the
// trap. Only private, file-backed, read-only code is written to, through /proc/self/mem, while every other worker stands
// still. Sites whose mapping went away need no care: the jump went with it, and a stub that nothing jumps to is harmless.
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

struct RewriteHooks {
    // Keeps every other thread of the process from running guest code, until go(); false: it cannot be done now.
    bool (*stop)();
    void (*go)();
    // The kernel shall send SIGILL to our handler even when the guest does not want it.
    void (*want_sigill)();
};

// Once, at start-up. Without it (or with enabled false) every call traps.
void rewrite_init(const RewriteHooks& hooks, bool enabled);
// Before the process gets its second kernel thread: what has to be registered with the kernel costs nothing as yet, and tens of
// milliseconds (an RCU grace period) later.
void rewrite_expect_threads();
// A trapped system call at `site` (the address of the instruction). May rewrite it. No lock of the runtime held.
void rewrite_saw_trap(u64 site, u32 number);
// From now on stubs go to the kernel's trap again (the guest sets GS itself, which stubs count on). Not undone.
void rewrite_disable();

// True while a debugger traces the process, as /proc/self/status has it (a few microseconds).
bool under_tracer();

// An address inside a stub -> the guest's own address that stands for it; any other address is returned as it is.
u64 rewrite_guest_rip(u64 rip);
// The address of an instruction whose first byte a jump turned into kTrapByte -> its copy in the stub; 0: it is none.
u64 rewrite_punned_copy(u64 rip);

// In the child of a fork: who was about to write code is not there.
void rewrite_after_fork();

struct RewriteCounts {
    u64 rewritten, refused, windows;
};
RewriteCounts rewrite_counts();

}  // namespace ocrun
