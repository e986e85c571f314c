// trims.h - the stack memory that an ending thread gives back, given back a little later
//
// The last thing a libc's thread does before exit is madvise(MADV_DONTNEED) of its stack below its stack pointer, for the
// stack goes to a cache and may lie there. Most often the next thread gets it at once, and both call and page faults were for
// nothing. So for stacks of the arena the call is noted, and made when no thread has started on the stack for a second, when
// workers are idle, or when more than kMostTrims wait. Until then the memory reads unchanged, which is the one deviation.
//
// Nobody but a new thread may use the memory in between; whatever else is done to it (munmap, mprotect ...) comes through
// the arena, which settles first. A thread that does not exit after all is served at its next call.
#pragma once
#include "runtime/context/coroutine.h"

namespace ocrun {

// c's own madvise(MADV_DONTNEED): true when noted in c.
bool stack_trim_defer(Coroutine* c, u64 from, u64 bytes);
// c made another call instead of ending.
void stack_trim_now(Coroutine* c);
void stack_trim_at_exit(Coroutine* c);
// A thread is about to start with this stack pointer: what is on its stack is its own.
void stack_trim_cancel(u64 stack);
// Before the arena changes [from, to); `unmap`: what lies wholly inside need not be given back.
void stack_trims_settle(u64 from, u64 to, bool unmap);
// Makes what waits for a second or longer, or all. From any place where the kernel may be called; cheap when nothing waits.
void stack_trims_run(bool all);
void stack_trims_after_fork();

}  // namespace ocrun
