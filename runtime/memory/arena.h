// arena.h - where the stacks of guest threads lie: a million of them in a few mappings
//
// A libc makes a thread's stack by mmap(PROT_NONE, MAP_STACK) and mprotect(read, write) of all but its guard. Done as asked
// that is two mappings a thread, and vm.max_map_count (65,530) ends it at 32,000 threads. Here such a stack is placed in
// the arena, a fixed range of addresses (so that the filter can tell calls on it by their arguments), next to the one
// before. It is mapped when mprotect has told what is guard and what is not: readable and writable as a whole, which the kernel
// merges with its neighbour, and the guard is laid by MADV_GUARD_INSTALL, which needs no mapping of its own.
// Nothing is reserved: every range is mapped and unmapped by itself, so RLIMIT_AS, VmSize and faults after munmap are as ever.
//
// A range is, from the guest's view, ordinary private anonymous memory. What the guest does with it:
//   promised   mmap was answered, nothing is mapped yet; all of it reads as PROT_NONE
//   guarded    mapped; [guard, guard_end) stands for PROT_NONE (may be empty)
//   plain      mapped exactly as the guest sees it: after any call that the two states above could not answer truly
// A fault in a promised or guarded place comes as SEGV_MAPERR; arena_guards() tells the signal path to call it SEGV_ACCERR.
//
// Where MADV_GUARD_INSTALL is missing (before Linux 6.13, or locked memory) guards are real and ranges plain.
// Facts: madvise(2), mm/madvise.c (guard regions; markers survive mprotect, MADV_DONTNEED and fork, and refuse VM_LOCKED),
// mm/mmap.c (MAP_STACK implies no huge pages since 6.7).
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

// Answers mmap, munmap, mprotect, pkey_mprotect, mremap and madvise as far as they concern the arena: true and *result.
// False: not the arena's business, the caller makes the call. `a`: the guest's arguments. Never parks; one lock, held over
// calls of the kernel as its own lock of mappings would be.
bool arena_call(u32 nr, const u64 a[6], long* result);

// Is the address one that the guest made inaccessible by PROT_NONE, though the kernel does not know it so?
bool arena_guards(u64 address);

// The guest placed something of its own at these addresses (shmat).
void arena_occupied(u64 address, u64 bytes);

// In the child of a fork: whoever held the lock is gone.
void arena_after_fork();

}  // namespace ocrun
