// rule_turns.h - for which calls of a process a rule of the policy holds (RuleTurns, config/policy.h)
//
// Calls are counted by number from the process's beginning (a program's start or a fork); a vfork child counts with its parent.
// What happens by chance follows from the policy's seed, the process's place in the tree's order and the call's count alone,
// so a program that makes the same calls in the same order meets the same again.
#pragma once
#include "config/policy.h"
#include "runtime/base/syscall.h"

namespace ocrun {

// Counts one call of number `nr`. True when the rule holds for it.
bool rule_has_its_turn(const Policy& policy, const SyscallRule& rule, u32 nr);
void rule_turns_after_fork();

}  // namespace ocrun
