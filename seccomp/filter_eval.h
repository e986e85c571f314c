// filter_eval.h - classic BPF as seccomp accepts and runs it (kernel/seccomp.c, net/core/filter.c), in user space
//
// Used by the filter's tests, by `ocrun check --explain`, and to judge calls that the runtime emulates for a guest
// that installed its own filter. Core code: no libc, no allocation, never blocks.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "runtime/base/syscall.h"

namespace ocrun {

// Whether the kernel would accept the program (it answers EINVAL otherwise): length, opcodes, aligned loads inside
// seccomp_data, forward jumps inside the program, constant divisors and shifts, scratch words written before they are
// read on every path, and a return at the end. Uses 8 KiB of stack.
bool filter_valid(const sock_filter* program, unsigned n);

// The SECCOMP_RET_* value of a program that filter_valid() accepted, action and data bits. As in the kernel, a
// division by a zero X ends the program with 0 (SECCOMP_RET_KILL_THREAD). Always terminates: jumps only go forward.
u32 filter_eval(const sock_filter* program, unsigned n, const seccomp_data& data);

}  // namespace ocrun
