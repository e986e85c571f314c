// rules.h - the "syscalls" section of a policy (see parse.h for its meaning)
#pragma once
#include <vector>

#include "config/json_tree.h"
#include "config/policy.h"

namespace ocrun {

// Reads names, groups and their rules into policy->rules; adds a mistake for everything that is wrong.
void read_syscall_rules(const JsonNode& section, Policy* policy, std::vector<PolicyMistake>* mistakes);

}  // namespace ocrun
