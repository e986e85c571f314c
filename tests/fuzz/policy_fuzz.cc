// policy_fuzz.cc - any bytes as a policy: values inside their bounds or a list of mistakes, never a crash
#include <cstdlib>
#include <cstring>

#include "config/parse.h"
#include "seccomp/filter.h"
#include "seccomp/filter_eval.h"
#include "seccomp/hooks.h"

using namespace ocrun;

namespace {
void require(bool condition) {
    if (!condition) abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
    const std::string_view text((const char*)data, size);
    ParsedPolicy parsed = parse_policy(text);
    if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed)) {
        require(!mistakes->empty());
        unsigned line = 0;
        for (const PolicyMistake& m : *mistakes) {
            require(!m.message.empty() && m.line >= line);
            line = m.line;
        }
        const std::string shown = format_mistakes("x", *mistakes);
        // Nothing that a document says may drive the terminal.
        for (char c : shown) require((c >= ' ' && c <= '~') || c == '\n');
        return 0;
    }
    const Policy& policy = std::get<Policy>(parsed);
    require(policy.magic == Policy::kMagic && policy.scheduler.quantum_min_ns <= policy.scheduler.quantum_max_ns);
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        require(row || !rule_intervenes(policy.rules[nr]));
        require(!row || row->hook != Hook::required || policy.rules[nr].action != Action::native);
        const unsigned turns = policy.rules[nr].turns;
        require(turns <= kMostRuleTurns);
        if (turns != 0) require(policy.turns[turns - 1].from >= 1 && policy.turns[turns - 1].every >= 1);
    }
    // Building is slow: once in a while, chosen by the input.
    if (size % 16 == 0) {
        auto built = build_filter(policy, kWindowBegin, kWindowEnd - 1);
        auto* program = std::get_if<std::vector<sock_filter>>(&built);
        require(program && filter_valid(program->data(), unsigned(program->size())));
    }
    return 0;
}
