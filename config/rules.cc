// rules.cc - reading the "syscalls" section: names and groups to rules (see rules.h)
#include "config/rules.h"

#include <asm/errno.h>
#include <string.h>

#include <algorithm>
#include <optional>
#include <string>

#include "runtime/base/syscall.h"
#include "seccomp/hooks.h"
#include "seccomp/syscall_table.h"

namespace ocrun {
namespace {

using Kind = JsonNode::Kind;
using Mistakes = std::vector<PolicyMistake>;

constexpr const char* kActions = "default, park, offload, native, return, deny, delay, log";
constexpr const char* kRuleKeys = "action, value, errno, delay_us, log, nth, probability";
constexpr std::int64_t kDelayUsMax = 3'600'000'000;  // an hour, and inside of 32 bits
constexpr double kChanceOne = 4294967296;            // RuleTurns::chance

// ENOTSUP and its like have one canonical name each in strerrorname_np; these are the other spellings.
struct ErrnoAlias {
    const char* name;
    int value;
};
constexpr ErrnoAlias kErrnoAliases[] = {{"EWOULDBLOCK", EAGAIN}, {"EDEADLOCK", EDEADLK}, {"ENOTSUP", EOPNOTSUPP}};

int errno_by_name(const std::string& name) {
    for (int e = 1; e <= EHWPOISON; e++) {
        const char* known = strerrorname_np(e);
        if (known && name == known) return e;
    }
    for (const ErrnoAlias& alias : kErrnoAliases)
        if (name == alias.name) return alias.value;
    return 0;
}

bool has_word(const char* words, std::string_view word) {
    for (const char* p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (std::string_view(p, n) == word) return true;
        p += n;
        while (*p == ' ') p++;
    }
    return false;
}

bool group_exists(std::string_view group) {
    for (unsigned nr = 0; nr < kSyscallLimit; nr++)
        if (const SyscallRow* row = syscall_row(nr); row && has_word(row->groups, group)) return true;
    return false;
}

// A rule as written, and where.
struct Written {
    SyscallRule rule;
    const JsonMember* member;
};

bool same(const SyscallRule& a, const SyscallRule& b) {
    return a.action == b.action && a.log == b.log && a.delay_us == b.delay_us && a.value == b.value && a.turns == b.turns;
}

// Why the rule cannot be had for the call, or "" when it can.
std::string impossible(const SyscallRow& row, const SyscallRule& rule) {
    const std::string name = row.name;
    if (never_hooked(row.nr)) return name + " is entered by the kernel itself and is never hooked";
    switch (rule.action) {
        case Action::park:
            if (!row.can_park) return name + " never waits, so `park` has no meaning for it";
            break;
        case Action::native:
            if (row.hook == Hook::required)
                return name + " cannot be `native`: the runtime is not right without seeing it";
            break;
        case Action::offload:
            if (row.hook == Hook::required)
                return name + " cannot be given to a helper thread: it acts on its caller";
            break;
        case Action::ret:
        case Action::deny:
            if (row.nr == __NR_exit || row.nr == __NR_exit_group || row.nr == __NR_rt_sigreturn)
                return name + " does not return to its caller, so it cannot be answered without the call";
            break;
        case Action::standard:
            break;
    }
    return "";
}

class RuleReader {
public:
    RuleReader(Policy* policy, Mistakes* mistakes) : policy_(*policy), mistakes_(*mistakes) {}

    void section(const JsonNode& node) {
        if (node.kind != Kind::object) {
            add(node, std::string("syscalls must be an object, not ") + json_kind_name(node.kind));
            return;
        }
        for (const JsonMember& m : node.members)
            if (!is_group(m)) single(m);
        for (const JsonMember& m : node.members)
            if (is_group(m)) group(m);
    }

private:
    static bool is_group(const JsonMember& m) { return !m.key.empty() && m.key[0] == '@'; }

    void add(const JsonNode& at, std::string message) { mistakes_.push_back({at.path, at.line, std::move(message)}); }
    void add_key(const JsonMember& m, std::string message) {
        mistakes_.push_back({m.value.path, m.line, std::move(message)});
    }

    void single(const JsonMember& m) {
        const SyscallRow* row = syscall_row_by_name(m.key.c_str());
        // A key with a NUL in it must not pass for its beginning.
        if (row && m.key != row->name) row = nullptr;
        if (!row) add_key(m, "no system call of x86-64 is named " + json_quoted(m.key));
        std::optional<SyscallRule> rule = read_rule(m.value);
        if (row) single_[row->nr] = true;  // even if the rule is wrong: no further messages about the same call
        if (!row || !rule) return;
        if (std::string why = impossible(*row, *rule); !why.empty())
            add_key(m, why);
        else
            policy_.rules[row->nr] = *rule;
    }

    void group(const JsonMember& m) {
        const std::string_view name = std::string_view(m.key).substr(1);
        const bool known = !name.empty() && name.find(' ') == name.npos && group_exists(name);
        if (!known)
            add_key(m, "no group of system calls is named " + json_quoted(m.key) + "; known: " + group_names());
        std::optional<SyscallRule> rule = read_rule(m.value);
        if (!known || !rule) return;
        bool has_meaning = false;
        unsigned conflicts = 0;
        std::string first_conflict;
        for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
            const SyscallRow* row = syscall_row(nr);
            if (!row || !has_word(row->groups, name) || !impossible(*row, *rule).empty()) continue;
            has_meaning = true;
            if (single_[nr]) continue;
            if (by_group_[nr].member && !same(by_group_[nr].rule, *rule)) {
                if (conflicts++ == 0) first_conflict = conflict(*row, *by_group_[nr].member);
                continue;
            }
            by_group_[nr] = {*rule, &m};
            policy_.rules[nr] = *rule;
        }
        if (!has_meaning) add_key(m, "no call of this group can have this rule");
        if (conflicts > 1) first_conflict += " (and " + std::to_string(conflicts - 1) + " more calls)";
        if (conflicts > 0) add_key(m, first_conflict);
    }

    static std::string conflict(const SyscallRow& row, const JsonMember& other) {
        return std::string(row.name) + " is in " + json_quoted(other.key) + " too, which has another rule on line " +
               std::to_string(other.line) + ": name the call itself";
    }

    static std::string group_names() {
        std::vector<std::string> names;
        for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
            const SyscallRow* row = syscall_row(nr);
            for (const char* p = row ? row->groups : ""; *p;) {
                size_t n = strcspn(p, " ");
                std::string name = "@" + std::string(p, n);
                bool seen = false;
                for (const std::string& other : names) seen |= other == name;
                if (!seen) names.push_back(name);
                p += n;
                while (*p == ' ') p++;
            }
        }
        std::string out;
        for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
        return out;
    }

    // A rule that was written down in full, or nothing and the mistakes.
    std::optional<SyscallRule> read_rule(const JsonNode& node) {
        if (node.kind == Kind::text) return from_name(node);
        if (node.kind == Kind::object) return from_object(node);
        add(node, std::string("a rule must be a string or an object, not ") + json_kind_name(node.kind));
        return std::nullopt;
    }

    static SyscallRule plain(Action action) {
        SyscallRule rule{};
        rule.action = action;
        return rule;
    }

    // Sets *delay for the word "delay", which is the standard action after a wait.
    std::optional<SyscallRule> action_named(const JsonNode& node, bool* delay) {
        *delay = node.text == "delay";
        if (node.text == "default" || *delay) return plain(Action::standard);
        if (node.text == "park") return plain(Action::park);
        if (node.text == "offload") return plain(Action::offload);
        if (node.text == "native") return plain(Action::native);
        if (node.text == "return") return plain(Action::ret);
        if (node.text == "deny") {
            SyscallRule rule = plain(Action::deny);
            rule.value = -EPERM;
            return rule;
        }
        if (node.text == "log") {
            SyscallRule rule = plain(Action::standard);
            rule.log = true;
            return rule;
        }
        add(node, "unknown action " + json_quoted(node.text) + "; known: " + kActions);
        return std::nullopt;
    }

    std::optional<SyscallRule> from_name(const JsonNode& node) {
        bool delay;
        std::optional<SyscallRule> rule = action_named(node, &delay);
        if (!rule) return rule;
        if (delay) {
            add(node, "`delay` needs a time: {\"action\": \"delay\", \"delay_us\": 1000}");
            return std::nullopt;
        }
        if (rule->action == Action::ret) {
            add(node, "`return` needs a result: {\"action\": \"return\", \"value\": 0}, or \"errno\"");
            return std::nullopt;
        }
        return rule;
    }

    std::optional<SyscallRule> from_object(const JsonNode& node) {
        SyscallRule rule = plain(Action::standard);
        bool good = true, delay_named = false;
        const JsonNode *value = nullptr, *error = nullptr, *delay = nullptr, *log = nullptr, *nth = nullptr, *probability = nullptr;
        for (const JsonMember& m : node.members) {
            if (m.key == "action") {
                if (m.value.kind != Kind::text) {
                    add(m.value, std::string("action must be a string, not ") + json_kind_name(m.value.kind));
                    good = false;
                } else if (std::optional<SyscallRule> named = action_named(m.value, &delay_named)) {
                    rule = *named;
                } else {
                    good = false;
                }
            } else if (m.key == "value") {
                value = &m.value;
            } else if (m.key == "errno") {
                error = &m.value;
            } else if (m.key == "delay_us") {
                delay = &m.value;
            } else if (m.key == "log") {
                log = &m.value;
            } else if (m.key == "nth") {
                nth = &m.value;
            } else if (m.key == "probability") {
                probability = &m.value;
            } else {
                add_key(m, "unknown key " + json_quoted(m.key) + "; known here: " + kRuleKeys);
                good = false;
            }
        }
        if (node.members.empty())
            good = fail(node, "an empty rule says nothing; leave the call out, or give an action");
        const bool known = good;  // without a known action the other keys cannot be judged together
        std::int64_t number = 0;
        if (value) {
            if (!integer(*value, -kMaxErrno, INT64_MAX, &number))
                good = false;
            else if (known && rule.action != Action::ret)
                good = fail(*value, "`value` goes with the action `return` only");
            rule.value = number;
        }
        if (error) {
            if (!errno_value(*error, &number))
                good = false;
            else if (known && rule.action != Action::ret && rule.action != Action::deny)
                good = fail(*error, "`errno` goes with the actions `return` and `deny` only");
            rule.value = -number;
        }
        if (value && error) good = fail(*error, "`errno` and `value` exclude each other");
        if (known && rule.action == Action::ret && !value && !error)
            good = fail(node, "`return` needs `value` or `errno`");
        if (delay) {
            if (!integer(*delay, 1, kDelayUsMax, &number)) good = false;
            rule.delay_us = u32(number);
        }
        if (delay_named && !delay) good = fail(node, "`delay` needs `delay_us`");
        if (log) {
            if (log->kind != Kind::boolean)
                good = fail(*log, std::string("log must be true or false, not ") + json_kind_name(log->kind));
            else if (rule.log && !log->boolean)
                good = fail(*log, "the action `log` and \"log\": false contradict each other");
            else
                rule.log = log->boolean;
        }
        if (known && rule.action == Action::native && (rule.log || delay))
            good = fail(node, "a `native` call is not hooked, so it can be neither logged nor delayed");
        if (nth || probability) {
            const JsonNode& first = nth ? *nth : *probability;
            RuleTurns turns{1, 0, 1, 0};
            if (nth && !read_nth(*nth, &turns)) good = false;
            if (probability && !read_probability(*probability, &turns)) good = false;
            if (known && rule.action != Action::ret && rule.action != Action::deny && !rule.log && !delay)
                good = fail(first, "`nth` and `probability` go with `return`, `deny`, `delay` and `log`");
            else if (known && (rule.action == Action::park || rule.action == Action::offload))
                good = fail(first, "how a call is made, as by `park` and `offload`, cannot change from one to the next");
            if (good && !keep(turns, &rule.turns))
                good = fail(first, "more than " + std::to_string(kMostRuleTurns) + " rules with different `nth` or `probability`");
        }
        return good ? std::optional(rule) : std::nullopt;
    }

    // 3, or {"from": 3, "to": 9, "every": 2}.
    bool read_nth(const JsonNode& node, RuleTurns* turns) {
        std::int64_t number = 0;
        if (node.kind == Kind::integer) {
            if (!integer(node, 1, UINT32_MAX, &number)) return false;
            turns->from = turns->to = u32(number);
            return true;
        }
        if (node.kind != Kind::object)
            return fail(node, std::string("nth must be an integer or an object, not ") + json_kind_name(node.kind));
        if (node.members.empty()) return fail(node, "an empty `nth` says nothing; known here: from, to, every");
        bool good = true;
        turns->from = 0;
        for (const JsonMember& m : node.members) {
            u32* field = m.key == "from" ? &turns->from : m.key == "to" ? &turns->to : m.key == "every" ? &turns->every : nullptr;
            if (!field) {
                add_key(m, "unknown key " + json_quoted(m.key) + "; known here: from, to, every");
                good = false;
            } else if (integer(m.value, 1, UINT32_MAX, &number)) {
                *field = u32(number);
            } else {
                good = false;
            }
        }
        if (turns->from == 0) turns->from = turns->every;  // each third: the third, the sixth …
        if (good && turns->to != 0 && turns->to < turns->from)
            return fail(node, "from (" + std::to_string(turns->from) + ") is larger than to (" + std::to_string(turns->to) + ")");
        return good;
    }

    bool read_probability(const JsonNode& node, RuleTurns* turns) {
        const bool whole = node.kind == Kind::integer && node.integer_fits;
        if (!whole && node.kind != Kind::number)
            return fail(node, std::string("probability must be a number, not ") + json_kind_name(node.kind));
        const double p = whole ? double(node.integer) : node.number;
        if (!(p > 0 && p <= 1)) return fail(node, "must be above 0 and at most 1");
        // 1 is 0, for all; what is above 0 stays above 0.
        turns->chance = p == 1 ? 0 : u32(std::clamp(p * kChanceOne, 1.0, kChanceOne - 1));
        return true;
    }

    bool keep(const RuleTurns& turns, std::uint16_t* index) {
        for (unsigned i = 0; i < kMostRuleTurns; i++) {
            RuleTurns& slot = policy_.turns[i];
            if (slot.every == 0) slot = turns;
            if (memcmp(&slot, &turns, sizeof turns) != 0) continue;
            *index = std::uint16_t(i + 1);
            return true;
        }
        return false;
    }

    bool fail(const JsonNode& at, std::string message) {
        add(at, std::move(message));
        return false;
    }

    bool integer(const JsonNode& node, std::int64_t low, std::int64_t high, std::int64_t* value) {
        if (node.kind != Kind::integer)
            return fail(node, std::string("must be an integer, not ") + json_kind_name(node.kind));
        if (!node.integer_fits || node.integer < low || node.integer > high)
            return fail(node, "must be between " + std::to_string(low) + " and " + std::to_string(high));
        *value = node.integer;
        return true;
    }

    bool errno_value(const JsonNode& node, std::int64_t* value) {
        if (node.kind != Kind::text) return integer(node, 1, kMaxErrno, value);
        *value = errno_by_name(node.text);
        return *value != 0 || fail(node, "no error is named " + json_quoted(node.text) + "; for example EPERM, EIO");
    }

    Policy& policy_;
    Mistakes& mistakes_;
    bool single_[kSyscallLimit] = {};
    Written by_group_[kSyscallLimit] = {};
};

}  // namespace

void read_syscall_rules(const JsonNode& section, Policy* policy, std::vector<PolicyMistake>* mistakes) {
    RuleReader(policy, mistakes).section(section);
}

}  // namespace ocrun
