// rules_test.cc - the "syscalls" section: forms of a rule, groups, precedence, impossible wishes
#include "config/rules.h"

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "runtime/base/syscall.h"
#include "seccomp/hooks.h"
#include "seccomp/syscall_table.h"
#include "tests/unit/config/mistakes.h"

namespace ocrun {
namespace {

SyscallRule rule_of(const std::string& call, const std::string& rule) {
    const Policy policy = good("{\"syscalls\": {\"" + call + "\": " + rule + "}}");
    return policy.rules[syscall_row_by_name(call.c_str())->nr];
}

void refuse(const std::string& call, const std::string& rule, const std::string& path, const std::string& words) {
    expect_mistake("{\"syscalls\": {\n\"" + call + "\": " + rule + "}}", 2, "/syscalls/" + call + path, words);
}

TEST(Rules, ShortFormsNameAnAction) {
    EXPECT_EQ(rule_of("read", "\"default\"").action, Action::standard);
    EXPECT_EQ(rule_of("read", "\"park\"").action, Action::park);
    EXPECT_EQ(rule_of("read", "\"offload\"").action, Action::offload);
    EXPECT_EQ(rule_of("read", "\"native\"").action, Action::native);
    EXPECT_EQ(rule_of("read", "\"deny\"").action, Action::deny);
    EXPECT_EQ(rule_of("read", "\"deny\"").value, -EPERM);
    EXPECT_EQ(rule_of("read", "\"log\"").action, Action::standard);
    EXPECT_TRUE(rule_of("read", "\"log\"").log);
}

TEST(Rules, LongFormsCarryValues) {
    SyscallRule rule = rule_of("nanosleep", R"({"action": "return", "value": 0})");
    EXPECT_EQ(rule.action, Action::ret);
    EXPECT_EQ(rule.value, 0);
    EXPECT_EQ(rule_of("mmap", R"({"action": "return", "value": 9223372036854775807})").value, INT64_MAX);
    EXPECT_EQ(rule_of("read", R"({"action": "return", "value": -4095})").value, -4095);
    EXPECT_EQ(rule_of("read", R"({"action": "return", "errno": "EIO"})").value, -EIO);
    rule = rule_of("read", R"({"errno": "EACCES", "action": "deny", "log": true, "delay_us": 7})");
    EXPECT_EQ(rule.action, Action::deny);
    EXPECT_EQ(rule.value, -EACCES);
    EXPECT_TRUE(rule.log);
    EXPECT_EQ(rule.delay_us, 7u);
    EXPECT_EQ(rule_of("read", R"({"action": "deny", "errno": 4095})").value, -4095);
    EXPECT_EQ(rule_of("read", R"({"action": "delay", "delay_us": 3600000000})").delay_us, 3600000000u);
    EXPECT_EQ(rule_of("read", R"({"delay_us": 5})").action, Action::standard);
    EXPECT_TRUE(rule_of("getpid", R"({"log": true})").log);
    EXPECT_FALSE(rule_of("read", R"({"action": "native", "log": false})").log);
}

RuleTurns turns_of(const std::string& call, const std::string& rule) {
    const Policy policy = good("{\"syscalls\": {\"" + call + "\": " + rule + "}}");
    const unsigned index = policy.rules[syscall_row_by_name(call.c_str())->nr].turns;
    return index ? policy.turns[index - 1] : RuleTurns{};
}

TEST(Rules, MayHoldForSomeCallsOnly) {
    RuleTurns t = turns_of("read", R"({"action": "deny", "nth": 3})");
    EXPECT_EQ(t.from, 3u);
    EXPECT_EQ(t.to, 3u);
    EXPECT_EQ(t.every, 1u);
    EXPECT_EQ(t.chance, 0u);
    t = turns_of("read", R"({"delay_us": 5, "nth": {"from": 2, "to": 9, "every": 4}})");
    EXPECT_EQ(t.from, 2u);
    EXPECT_EQ(t.to, 9u);
    EXPECT_EQ(t.every, 4u);
    t = turns_of("read", R"({"action": "log", "nth": {"every": 5}})");
    EXPECT_EQ(t.from, 5u);
    EXPECT_EQ(t.to, 0u);
    EXPECT_EQ(t.every, 5u);
    EXPECT_EQ(turns_of("read", R"({"action": "return", "value": 0, "probability": 0.5})").chance, 1u << 31);
    EXPECT_EQ(turns_of("read", R"({"action": "deny", "probability": 1})").chance, 0u);
    EXPECT_EQ(turns_of("read", R"({"action": "deny", "probability": 1e-300})").chance, 1u);
    EXPECT_EQ(turns_of("read", R"({"action": "deny", "probability": 0.99999999999})").chance, 0xffffffffu);
    EXPECT_EQ(turns_of("read", R"({"action": "deny"})").every, 0u);
    EXPECT_EQ(good(R"({"seed": 9223372036854775807})").seed, 9223372036854775807u);
}

TEST(Rules, MistakesInTurns) {
    refuse("read", R"({"action": "deny", "nth": 0})", "/nth", "between 1 and");
    refuse("read", R"({"action": "deny", "nth": "third"})", "/nth", "integer or an object");
    refuse("read", R"({"action": "deny", "nth": {}})", "/nth", "empty");
    refuse("read", R"({"action": "deny", "nth": {"first": 1}})", "/nth/first", "unknown key");
    refuse("read", R"({"action": "deny", "nth": {"from": 5, "to": 4}})", "/nth", "larger than");
    refuse("read", R"({"action": "deny", "nth": {"every": 0}})", "/nth/every", "between 1 and");
    refuse("read", R"({"action": "deny", "probability": 0})", "/probability", "above 0");
    refuse("read", R"({"action": "deny", "probability": -0.5})", "/probability", "above 0");
    refuse("read", R"({"action": "deny", "probability": 1.5})", "/probability", "at most 1");
    refuse("read", R"({"action": "deny", "probability": "often"})", "/probability", "must be a number");
    refuse("read", R"({"action": "park", "nth": 3})", "/nth", "go with");
    refuse("read", R"({"action": "native", "nth": 3})", "/nth", "go with");
    refuse("read", R"({"action": "offload", "log": true, "nth": 3})", "/nth", "how a call is made");
    refuse("read", R"({"nth": 3})", "/nth", "go with");
    expect_mistake("{\n\"seed\": 0}", 2, "/seed", "between 1 and");
}

TEST(Rules, TurnsAreSharedAndLimited) {
    std::string text;
    for (unsigned i = 1; i <= kMostRuleTurns; i++)
        for (int twice = 0; twice < 2; twice++)
            text += (text.empty() ? "\"" : ", \"") + std::string(syscall_row(2 * i + unsigned(twice))->name) +
                    "\": {\"log\": true, \"nth\": " + std::to_string(i) + "}";
    good("{\"syscalls\": {" + text + "}}");
    expect_mistake("{\"syscalls\": {" + text + ", \"memfd_create\": {\"log\": true, \"nth\": 65}}}", 1, "/syscalls/memfd_create/nth", "more than 64");
}

TEST(Rules, ErrorsGoByAllTheirNames) {
    const struct {
        const char* name;
        int value;
    } cases[] = {{"EPERM", EPERM},        {"EWOULDBLOCK", EAGAIN},  {"EDEADLOCK", EDEADLK},
                 {"ENOTSUP", EOPNOTSUPP}, {"EHWPOISON", EHWPOISON}, {"ENETUNREACH", ENETUNREACH}};
    for (const auto& c : cases)
        EXPECT_EQ(rule_of("read", std::string(R"({"action": "deny", "errno": ")") + c.name + "\"}").value, -c.value);
}

TEST(Rules, WrongFormsAreRefused) {
    refuse("read", "7", "", "must be a string or an object, not an integer");
    refuse("read", "null", "", "not null");
    refuse("read", "[]", "", "not an array");
    refuse("read", "{}", "", "empty rule");
    refuse("read", "\"drop\"", "", "unknown action \"drop\"");
    refuse("read", R"({"action": 1})", "/action", "action must be a string");
    refuse("read", R"({"action": "drop", "value": 1})", "/action", "unknown action");
    refuse("read", "\"return\"", "", "needs a result");
    refuse("read", R"({"action": "return"})", "", "needs `value` or `errno`");
    refuse("read", "\"delay\"", "", "needs a time");
    refuse("read", R"({"action": "delay"})", "", "needs `delay_us`");
    refuse("read", R"({"action": "delay", "delay_us": 0})", "/delay_us", "between 1 and");
    refuse("read", R"({"delay_us": 3600000001})", "/delay_us", "between 1 and 3600000000");
    refuse("read", R"({"delay_us": "1s"})", "/delay_us", "must be an integer, not a string");
    refuse("read", R"({"action": "log", "log": false})", "/log", "contradict");
    refuse("read", R"({"log": 1})", "/log", "true or false");
    refuse("read", R"({"action": "park", "value": 1})", "/value", "`return` only");
    refuse("read", R"({"action": "deny", "value": 1})", "/value", "`return` only");
    refuse("read", R"({"action": "park", "errno": "EIO"})", "/errno", "`return` and `deny` only");
    refuse("read", R"({"action": "return", "value": -1, "errno": "EIO"})", "/errno", "exclude");
    refuse("read", R"({"action": "return", "value": -4096})", "/value", "between -4095");
    refuse("read", R"({"action": "return", "value": 9223372036854775808})", "/value", "between");
    refuse("read", R"({"action": "return", "value": "0"})", "/value", "must be an integer");
    refuse("read", R"({"action": "deny", "errno": "EFOO"})", "/errno", "no error is named \"EFOO\"");
    refuse("read", R"({"action": "deny", "errno": "eperm"})", "/errno", "no error");
    refuse("read", R"({"action": "deny", "errno": ""})", "/errno", "no error");
    refuse("read", R"({"action": "deny", "errno": 0})", "/errno", "between 1 and 4095");
    refuse("read", R"({"action": "deny", "errno": -1})", "/errno", "between 1 and 4095");
    refuse("read", R"({"action": "native", "log": true})", "", "neither logged nor delayed");
    refuse("read", R"({"action": "native", "delay_us": 1})", "", "neither logged nor delayed");
}

TEST(Rules, UnknownNamesAreRefused) {
    refuse("sleep", "\"log\"", "", "no system call of x86-64 is named \"sleep\"");
    refuse("", "\"log\"", "", "is named \"\"");
    refuse("READ", "\"log\"", "", "\"READ\"");
    expect_mistake("{\"syscalls\": {\"read\\u0000x\": \"log\"}}", 1, "/syscalls/read?x", "read\\x00x");
    refuse("@nosuch", "\"log\"", "", "known: @file");
    refuse("@", "\"log\"", "", "no group");
    refuse("@file io", "\"log\"", "", "no group");
}

TEST(Rules, WishesACallCannotHaveAreRefused) {
    refuse("getpid", "\"park\"", "", "never waits");
    refuse("close", "\"park\"", "", "never waits");
    refuse("futex", "\"native\"", "", "cannot be `native`");
    refuse("mmap", R"({"action": "native"})", "", "cannot be `native`");
    refuse("clone", "\"offload\"", "", "helper thread");
    for (const char* call : {"exit", "exit_group", "rt_sigreturn"}) {
        refuse(call, "\"deny\"", "", "does not return");
        refuse(call, R"({"action": "return", "value": 0})", "", "does not return");
        EXPECT_TRUE(rule_of(call, "\"log\"").log);
    }
    for (const char* call : {"restart_syscall", "uprobe", "uretprobe"})
        for (const char* action : {"log", "native", "deny", "default"})
            refuse(call, "\"" + std::string(action) + "\"", "", "never hooked");
}

TEST(Rules, EveryCallTakesOrRefusesEveryActionAsTheTableSays) {
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row || never_hooked(nr)) continue;
        auto accepted = [row](const char* action) {
            return bad("{\"syscalls\": {\"" + std::string(row->name) + "\": \"" + action + "\"}}").empty();
        };
        EXPECT_EQ(accepted("park"), row->can_park) << row->name;
        EXPECT_EQ(accepted("native"), row->hook != Hook::required) << row->name;
        EXPECT_EQ(accepted("offload"), row->hook != Hook::required) << row->name;
        EXPECT_TRUE(accepted("log")) << row->name;
        EXPECT_TRUE(accepted("default")) << row->name;
    }
}

TEST(Groups, ApplyToTheirMembersOnly) {
    const Policy p = good(R"({"syscalls": {"@sleep": "offload"}})");
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        bool sleeps = nr == __NR_nanosleep || nr == __NR_clock_nanosleep;
        EXPECT_EQ(p.rules[nr].action, sleeps ? Action::offload : Action::standard) << nr;
    }
}

TEST(Groups, SkipMembersForWhichTheRuleHasNoMeaning) {
    Policy p = good(R"({"syscalls": {"@process": "native"}})");
    EXPECT_EQ(p.rules[__NR_getppid].action, Action::native);
    EXPECT_EQ(p.rules[__NR_clone].action, Action::standard);
    p = good(R"({"syscalls": {"@network": "park"}})");
    EXPECT_EQ(p.rules[__NR_accept].action, Action::park);
    EXPECT_EQ(p.rules[__NR_socket].action, Action::standard);
}

TEST(Groups, WithoutAMemberForTheRuleAreRefused) {
    refuse("@identity", "\"park\"", "", "no call of this group");
}

TEST(Groups, YieldToSingleCallsWhereverTheseStand) {
    for (const char* text : {R"({"syscalls": {"nanosleep": "log", "@sleep": "native"}})",
                             R"({"syscalls": {"@sleep": "native", "nanosleep": "log"}})"}) {
        const Policy p = good(text);
        EXPECT_EQ(p.rules[__NR_nanosleep].action, Action::standard);
        EXPECT_TRUE(p.rules[__NR_nanosleep].log);
        EXPECT_EQ(p.rules[__NR_clock_nanosleep].action, Action::native);
    }
}

TEST(Groups, ThatContradictEachOtherAreRefused) {
    expect_mistake(
        "{\"syscalls\": {\"@time\": \"log\",\n\"@sleep\": \"native\"}}", 2, "/syscalls/@sleep",
        "nanosleep is in \"@time\" too, which has another rule on line 1: name the call itself (and 1 more");
    // Agreement is no conflict, nor is a call that is named itself.
    good(R"({"syscalls": {"@time": "log", "@sleep": {"log": true}}})");
    good(R"({"syscalls": {"@time": "log", "@sleep": "native", "nanosleep": "park", "clock_nanosleep": "park"}})");
    // Nor is a member for which one of the rules has no meaning.
    good(R"({"syscalls": {"@signal": "native", "@process": "native"}})");
}

TEST(Schema, KnowsEveryCallAndGroup) {
    std::ifstream file(OCRUN_SOURCE_DIR "/config/policy.schema.json");
    const nlohmann::json schema = nlohmann::json::parse(file);
    std::set<std::string> calls, groups;
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row) continue;
        calls.insert(row->name);
        std::istringstream words(row->groups);
        for (std::string word; words >> word;) groups.insert("@" + word);
    }
    EXPECT_EQ(schema["$defs"]["syscall"]["enum"].get<std::set<std::string>>(), calls);
    EXPECT_EQ(schema["$defs"]["group"]["enum"].get<std::set<std::string>>(), groups);
}

}  // namespace
}  // namespace ocrun
