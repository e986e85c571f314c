// explain.h - a policy in words: what happens to each system call and why (`ocrun check --explain`)
#pragma once
#include <string>

#include "config/policy.h"

namespace ocrun {

// A head with the settings, then one line per call of the table: number, name, where it goes (trap, kernel, or maybe:
// it depends on the arguments), why, what happens there, and the known limitation. Whether a call traps is read off
// the built seccomp program, not off the table, so the text tells what the kernel will do. When the program cannot be
// built the text is one line that says why.
std::string explain(const Policy& policy);

}  // namespace ocrun
