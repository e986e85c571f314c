// syscall_table.h - what is known about each system call, one row each (syscall_table.def)
#pragma once
#include "config/policy.h"
#include "runtime/base/syscall.h"

namespace ocrun {

// How a call reaches the runtime.
enum class Hook : u8 {
    required,  // always hooked: the runtime cannot be right without seeing it; a policy cannot make it native
    standard,  // hooked unless the policy says native
    none,      // the kernel runs it; hooked only if the policy says ret, deny, offload, delay or log
};

// Rows whose hook depends on the arguments; the condition is compiled into the filter (filter.cc), so calls that
// do not match cost no trap. When a policy rule other than `native` names the call, the condition is dropped.
enum class Condition : u8 {
    always,
    mmap_shared_or_window,  // mmap: MAP_SHARED/MAP_SHARED_VALIDATE, MAP_FIXED* with a range that may touch the window, a
                            // thread's stack, an address in the arena (runtime/memory/arena.h)
    range_in_window,        // munmap, mprotect, mremap, madvise, pkey_mprotect: the range may touch the window or the arena
    fcntl_seen,             // fcntl: F_SETLKW, F_OFD_SETLKW, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFL, F_SETOWN_EX, F_GETOWN_EX, F_GETOWN, or a
                            // number of the runtime's
    not_empty_path,         // newfstatat: flags (4th argument) without AT_EMPTY_PATH, or a number of the runtime's
    hidden_descriptor,      // fstat, dup: the descriptor may be one of the runtime's own (base/hidden_fds.h)
    thread_clock,           // clock_gettime, clock_getres: CLOCK_THREAD_CPUTIME_ID or a clock id made of a process or thread id (negative)
    thread_usage,           // getrusage: RUSAGE_THREAD
    thread_id,              // getpgid, prlimit64 ...: the argument may be a thread id of ours (kFirstThreadId); ioprio_*: IOPRIO_WHO_PROCESS
    ioctl_seen,             // ioctl: TIOCSPGRP, TCSETS*, TCSETS2*, TCSBRK*, TCXONC, TCFLSH (they can raise SIGTTOU), FIONBIO
    socket_option_seen,     // setsockopt: SO_RCVTIMEO and SO_SNDTIMEO, old and new; SO_LINGER
    many_bytes,             // getrandom: more than a page
    bpf_seen,               // bpf: BPF_PROG_LOAD, BPF_PROG_TEST_RUN
};

// Argument kinds, for messages and for the policy's documentation.
enum class Arg : u8 { none, integer, fd, path, pointer, size, flags };

struct SyscallRow {
    const char* name;
    u16 nr;
    Hook hook;
    Condition condition;
    bool can_park;           // policy action `park` has a meaning
    const char* groups;      // space-separated, without '@': "file" "network"
    const char* args;        // one letter per argument: i integer, f fd, p path, b buffer/pointer, s size, m flags
    const char* limitation;  // "" or one sentence for the documentation and --explain
};

// The row of a number, or nullptr when the table has none (numbers unused on x86-64, or >= kSyscallLimit).
const SyscallRow* syscall_row(unsigned nr);
// By name ("read"); nullptr when unknown.
const SyscallRow* syscall_row_by_name(const char* name);
// Name for messages: "read", or "syscall_999" is left to the caller when nullptr.
const char* syscall_name(unsigned nr);

// Thread ids that the runtime gives out: above the kernel's pids, inside FUTEX_TID_MASK.
inline constexpr u32 kFirstThreadId = 1u << 22, kThreadIdEnd = 1u << 30;

// The runtime's window: no guest mapping may replace it (link address 0x7c000000, CMakeLists.txt). It ends before the shadow of
// AddressSanitizer, which begins at 0x7fff7000.
inline constexpr u64 kWindowBegin = 0x7c000000;
inline constexpr u64 kWindowEnd = 0x7e000000;

// Where the runtime places stacks of guest threads (runtime/memory/arena.h): 16 TiB that nothing else uses by itself: above the
// hints of V8 and the ranges of ZGC, below PIE programs. Where MSan or TSan have it, stacks lie as the kernel wants.
inline constexpr u64 kArenaBegin = 0x400000000000, kArenaEnd = 0x500000000000;
inline constexpr bool arena_holds(u64 address) { return address - kArenaBegin < kArenaEnd - kArenaBegin; }
// A PROT_NONE mapping of plain memory up to this size is taken for a stack, MAP_STACK or not (musl's have no such flag).
inline constexpr u64 kArenaPlainMost = 16ul << 20;

}  // namespace ocrun
