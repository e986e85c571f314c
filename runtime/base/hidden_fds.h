// hidden_fds.h - the runtime's own descriptors, out of the guest's sight
//
// They sit together at kHiddenFdCount numbers from hidden_fd_base(): just above the guest's soft RLIMIT_NOFILE where that
// is small, else at 4080 (a higher number would make every fork copy a huge descriptor table). The guest's close, dup2,
// close_range and /proc/self/fd pass them over (syscalls/descriptors.cc).
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

enum HiddenFd : int {
    kHiddenExe,       // ocrun itself, for exec
    kHiddenPolicy,    // memfd: Policy + shared counters, inherited by the whole tree
    kHiddenHandoff,   // memfd: state from the image before an exec; closed once read
    kHiddenTarget,    // the ELF file to load after an exec; closed once mapped
    kHiddenEpoll,     // readiness of descriptors
    kHiddenEvent,     // wakes an idle worker
    kHiddenFdCount,
};

int hidden_fd_base();
void hidden_fd_set_base(int base);
// A base for this process tree by the current limits.
int hidden_fd_choose_base();
inline int hidden_fd(HiddenFd which) { return hidden_fd_base() + which; }
inline bool is_hidden_fd(long fd) { return fd >= hidden_fd_base() && fd < hidden_fd_base() + kHiddenFdCount; }
// Moves fd (closing the old number) to its hidden place. cloexec: does not survive an exec. 0 or -errno.
long hidden_fd_place(int fd, HiddenFd which, bool cloexec);

}  // namespace ocrun
