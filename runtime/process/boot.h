// boot.h - from a checked target to the first instruction of the guest
#pragma once
#include "config/policy.h"
#include "runtime/base/text.h"
#include "runtime/host/initial_stack.h"
#include "seccomp/trap.h"

struct sock_filter;

namespace ocrun {

struct BootRequest {
    int target_fd;             // the ELF file; closed by boot
    int interp_fd;             // its interpreter, or -1
    const char* shown_path;    // for messages
    const char* comm;
    const Policy* policy;      // must stay mapped
    u64 signal_mask;           // the guest's
    // After a guest's exec, from the image before; nullptr: ask the kernel and the CPU.
    const u64* ignored_signals;
    const CpuFacts* cpu;
    StackInputs stack;         // image is filled in by boot
    // The filter of a first launch; nullptr when it is inherited.
    const sock_filter* filter;
    u32 filter_length;
    bool host_no_new_privs;    // set by ocrun, not by the user
};

// What boot needs from libc's start-up to undo it: the rseq registration (address, length), or nullptr.
struct LibcLeftovers {
    void* rseq;
    u32 rseq_bytes;
};

// Maps the program and starts it. Returns only on failure: -errno (what execve(2) would say) with `why` filled, before
// anything of the guest ran; after the first mapping was made there is no way back but to exit.
long boot(BootRequest& request, const LibcLeftovers& libc, Text* why);

}  // namespace ocrun
