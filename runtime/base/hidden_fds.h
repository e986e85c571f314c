// hidden_fds.h - the runtime's own descriptors, out of the guest's sight
//
// They sit together from hidden_fd_base(): just above the guest's soft RLIMIT_NOFILE where that is small, else at 4080 (a
// higher number would make every fork copy a huge descriptor table). Where the limits leave no room there, they take the
// highest free numbers below the limit. The guest's close, dup2, close_range and /proc/self/fd pass them over
// (syscalls/descriptors.cc).
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

enum HiddenFd : int {
    kHiddenExe,     // ocrun itself, for exec
    kHiddenPolicy,  // memfd: Policy + shared counters, inherited by the whole tree
    kHiddenTarget,  // the program's ELF file: /proc/self/exe even after it was deleted; close-on-exec
    kHiddenEpoll,   // readiness of descriptors
    kHiddenEvent,   // wakes an idle worker
    kHiddenVfork,   // of a CLONE_VFORK child whose parent had threads: its exec or exit closes it, which the parent waits for
    kHiddenFdCount,
};

// Where they begin unless the limit of descriptors is smaller.
inline constexpr int kUsualHiddenBase = 4080;

// A base for this process tree by the current limits, and setting it (after an exec).
int hidden_fd_choose_base();
void hidden_fd_set_base(int base);
int hidden_fd_base();
// The number of one of them; -1 when it is not open.
int hidden_fd(HiddenFd which);
// Told by the image before an exec.
void hidden_fd_adopt(HiddenFd which, int fd);
bool is_hidden_fd(long fd);
// Moves fd (closing the old number) to its hidden place. cloexec: does not survive an exec. below_limit: take one of the
// guest's numbers rather than fail. 0 or -errno (fd stays open).
long hidden_fd_place(int fd, HiddenFd which, bool cloexec, bool below_limit = true);
void hidden_fd_close(HiddenFd which);
// close_range(2) that passes the hidden ones over.
long hidden_fds_close_range(u32 first, u32 last, u64 flags);

}  // namespace ocrun
