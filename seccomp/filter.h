// filter.h - from a policy to the seccomp program of the whole process tree
//
// The program is built by libseccomp (number and argument rules, binary tree over the numbers), exported as classic
// BPF, made shorter (compact.h) and then given the instruction-pointer gate that libseccomp cannot express: every RET TRAP becomes a jump to
//
//     instruction pointer in [text_begin, text_end) -> ALLOW, else TRAP
//
// so the runtime's own calls pass. The gate comes last: a number without a hook is decided by loads of arch and nr
// only, which lets the kernel (>= 5.11) answer it from its per-number bitmap without running the program. The order
// also means that the price of the gate is paid by hooked calls alone. Foreign architectures (i386, x32) trap and are
// answered there. Numbers above the table are allowed: the kernel answers ENOSYS, or runs what is newer than this
// table, unhooked.
#pragma once
#include <linux/filter.h>

#include <string>
#include <variant>
#include <vector>

#include "config/policy.h"
#include "runtime/base/hidden_fds.h"

namespace ocrun {

struct FilterError {
    std::string message;
};

// text_begin and text_end bound the runtime's code (the kernel reports the address behind the syscall instruction);
// both must lie in the same 4 GiB. hidden_fds: where the runtime's descriptors begin. Allocates; not for signal handlers.
std::variant<std::vector<sock_filter>, FilterError> build_filter(const Policy& policy, u64 text_begin, u64 text_end,
                                                                 u32 hidden_fds = kUsualHiddenBase);

// Installs the program in the calling thread, for ever and for every descendant. NO_NEW_PRIVS is set only where the
// kernel insists on it (no CAP_SYS_ADMIN), since it disables set-uid programs. Returns 0, or -errno and a message
// that says what was refused and why.
long install_filter(const std::vector<sock_filter>& program, std::string& message);

}  // namespace ocrun
