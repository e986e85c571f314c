// tracer.h - ptrace(2) by a guest of programs that run under ocrun as well: a debugger that was started by ocrun
//
// Such a tracer would stop at what only ocrun's way of running a program brings about: its exec stops in ocrun's first instruction,
// every trapped call is a SIGSYS, every tick a signal. What the kernel reports to it comes through here first:
//   exec            the tracee goes on to the first instruction of its own program, where the stop is reported. auxv and maps are the
//                   program's by then. Not for who follows it from system call to system call: that would not add up.
//   SIGSYS, ticks   passed on to the tracee. A single step goes on through the runtime to the instruction behind the call.
// Nothing waits for the tracee here: each of its stops on the way is a wait of the guest's that finds nothing yet.
#pragma once
#include "runtime/syscalls/call.h"

namespace ocrun {

// PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE (identity.cc).
long h_ptrace_begins(Call& call);
// A request of the calling coroutine's, made by the kernel thread that is the tracee's tracer.
long tracer_request(Call& call);
// A wait found `pid` in `status`, *status. False: the guest is told, by what *status is now. True: there was nothing for it, and the
// tracee goes on.
bool tracer_passes_over(Coroutine* c, u32 pid, i32* status);

}  // namespace ocrun
