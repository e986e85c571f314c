// parse.h - JSON text to Policy, with every mistake reported at once
//
// What a policy may contain is described by policy.schema.json (documentation and editors) and checked here (the
// truth). Under "syscalls" a rule for a single call beats rules for its groups, wherever they stand. Of several
// groups with different rules for one call none wins: that is a mistake. A group's rule applies to those members for
// which it has a meaning (`park` to calls that can wait, `native` to calls that need not be hooked) and is a mistake
// if there are none; for a single call the same is always a mistake.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/json_tree.h"
#include "config/policy.h"

namespace ocrun {

// Larger policy files are refused unread.
inline constexpr size_t kPolicyBytesMax = 1 << 20;

// Mistakes come in the order of lines and are never empty.
using ParsedPolicy = std::variant<Policy, std::vector<PolicyMistake>>;

// What is not mentioned keeps the value of the default policy.
ParsedPolicy parse_policy(std::string_view text);

// The same for a file (a FIFO or /dev/stdin works too). Blocks on reading.
ParsedPolicy parse_policy_file(const char* path);

// config/default.json, compiled in.
const Policy& default_policy();
std::string_view default_policy_text();

// One line per mistake for the terminal: "FILE:LINE: PATH: MESSAGE".
std::string format_mistakes(std::string_view file, const std::vector<PolicyMistake>& mistakes);

}  // namespace ocrun
