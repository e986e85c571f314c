// install.h - the instruction-pointer gate of a finished filter, and its way into the kernel; libc-free
#pragma once
#include <linux/filter.h>

#include "runtime/base/syscall.h"

namespace ocrun {

// The last instructions of every program of ours (seccomp/filter.h says what for).
inline constexpr u32 kGateLength = 7;

// Writes the gate for runtime code in [text_begin, text_end), both in the same 4 GiB, to `at`, kGateLength instructions.
void write_gate(sock_filter* at, u64 text_begin, u64 text_end);

// NO_NEW_PRIVS, where the kernel insists on it for a filter (no CAP_SYS_ADMIN). 0 or -errno.
long prepare_install();

// Installs the program in the calling thread, for ever and for every descendant. 0 or -errno.
long install_program(const sock_filter* program, u32 length);

}  // namespace ocrun
