// handoff.h - what one image of ocrun tells the next across an exec
//
// Two memfds at hidden descriptor numbers: the policy with the counters shared by the whole tree (made once by the
// launcher, inherited for ever) and the handoff of one exec (made by the caller, read and closed by the new image).
// The new image knows itself by AT_EXECFN, which the kernel sets to /dev/fd/N for execveat(N, "", AT_EMPTY_PATH).
#pragma once
#include "config/policy.h"
#include "runtime/base/syscall.h"

namespace ocrun {

// The policy memfd: Policy at 0, Shared at kSharedOffset.
struct Shared {
    u32 next_tid_block;  // atomic; blocks of kTidBlock thread ids
};
inline constexpr u64 kSharedOffset = 16384;
inline constexpr u64 kPolicyFdBytes = kSharedOffset + 4096;
static_assert(sizeof(Policy) <= kSharedOffset);
inline constexpr u32 kTidBlock = 1024;

struct Handoff {
    static constexpr u64 kMagic = 0x3166666f646e6168;  // "handoff1"
    u64 magic;
    u64 signal_mask;
    u32 nested;        // the target is ocrun itself: parse the command line as the launcher does
    u32 filter_bytes;  // the guest's own seccomp programs follow the struct
    u32 host_no_new_privs;
    u32 reserved;
    char comm[16];
    char exec_path[4096];  // AT_EXECFN
};

}  // namespace ocrun
