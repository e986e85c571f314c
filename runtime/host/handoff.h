// handoff.h - what one image of ocrun tells the next across an exec
//
// The policy, with the counters shared by the whole tree, is a memfd made once by the launcher and inherited for ever. What
// one exec has to say travels as an extra last environment string, "\1ocrun-exec=...": it needs no descriptor (a guest may
// have no number to spare), and the new image leaves it out of the guest's environment (also of /proc/PID/environ).
// The new image knows itself by AT_EXECFN, which the kernel sets to /dev/fd/N for execveat(N, "", AT_EMPTY_PATH).
#pragma once
#include "config/policy.h"
#include "runtime/base/text.h"
#include "seccomp/syscall_table.h"
#include "seccomp/trap.h"

namespace ocrun {

// A child that wants a signal when the thread that forked it ends (process/parent_death.cc). Atomic; child 0: free.
struct ParentDeath {
    u32 child, parent, thread, signal;
};
inline constexpr u32 kMostParentDeaths = 200;

// The policy memfd: Policy at 0, Shared at kSharedOffset, then for each block of thread ids whose it is (process/tid_blocks.cc).
struct Shared {
    u32 next_tid_block;  // atomic; blocks of kTidBlock thread ids
    u32 options_changed; // atomic; O_NONBLOCK or a socket's time-out of some description was changed so many times
    u32 parent_deaths_used;  // atomic; the table was ever used
    u32 lingers;             // atomic; some socket was told to linger (SO_LINGER) for more than no time
    u32 chance_processes;    // atomic; processes in which the policy made something happen by chance
    ParentDeath parent_deaths[kMostParentDeaths];
};
static_assert(sizeof(Shared) <= 4096);
inline constexpr u64 kSharedOffset = 16384;

// Who forked a process: the process and the thread, 0 when the kernel knows (a thread with a kernel thread of its own) or nobody does.
struct ForkedBy {
    u32 pid, thread;
};
inline constexpr u32 kTidBlock = 1024, kTidBlocks = (kThreadIdEnd - kFirstThreadId) / kTidBlock;
inline constexpr u64 kTidBlocksOffset = kSharedOffset + 4096;
inline constexpr u64 kPolicyFdBytes = kTidBlocksOffset + u64(kTidBlocks) * 8;
static_assert(sizeof(Policy) <= kSharedOffset && kPolicyFdBytes % 4096 == 0);

struct Handoff {
    u64 signal_mask;
    u64 ignored_signals;     // the kernel is told too; this saves asking for each
    CpuFacts cpu;
    int policy_fd;
    int target_fd;           // the ELF file to load
    int filter_fd;           // memfd with the guest's own seccomp programs, -1: none
    int base;                // hidden_fd_set_base
    ForkedBy forked_by;
    bool nested;             // the target is ocrun itself: parse the command line as the launcher does
    bool host_no_new_privs;  // set by ocrun, not by the user
    char comm[16];
    const char* exec_path;   // AT_EXECFN
};

inline constexpr const char* kHandoffPrefix = "\1ocrun-exec=";
inline constexpr size_t kHandoffFixedBytes = 256;

// The string; `out` needs kHandoffFixedBytes and the length of exec_path.
void handoff_write(const Handoff& handoff, Text* out);
// Reads it back; exec_path points into `text`. False: not a handoff of this version.
bool handoff_read(const char* text, Handoff* out);

}  // namespace ocrun
