// check.cc - `ocrun check FILE`: every mistake of a policy, with its place
#include <stdio.h>

#include "config/explain.h"
#include "config/parse.h"
#include "runtime/cli/commands.h"

namespace ocrun {

int check_policy(const std::string& file, bool explain_calls) {
    Policy policy = default_policy();
    if (!file.empty()) {
        ParsedPolicy parsed = parse_policy_file(file.c_str());
        if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed)) {
            fputs(format_mistakes(file, *mistakes).c_str(), stderr);
            return kExitOwnFailure;
        }
        policy = std::get<Policy>(parsed);
    }
    if (explain_calls)
        fputs(explain(policy).c_str(), stdout);
    else
        printf("%s: ok\n", file.empty() ? "built-in policy" : file.c_str());
    return 0;
}

}  // namespace ocrun
