// defaults_test.cc - the tables made with ocrun are what parser and libseccomp make of config/default.json now
#include "seccomp/defaults.h"

#include <gtest/gtest.h>

#include <cstring>

#include "config/parse.h"
#include "seccomp/filter.h"
#include "seccomp/hooks.h"
#include "seccomp/install.h"

namespace ocrun {
namespace {

constexpr u64 kTextBegin = 0x7c000000, kTextEnd = 0x7c123456;

std::vector<sock_filter> built_now(const Policy& policy) {
    auto built = build_filter(policy, kTextBegin, kTextEnd);
    if (auto* error = std::get_if<FilterError>(&built)) ADD_FAILURE() << error->message;
    return std::get<std::vector<sock_filter>>(built);
}

std::vector<sock_filter> table() {
    std::vector<sock_filter> program(kBuiltInFilter, kBuiltInFilter + kBuiltInFilterLength);
    write_gate(&program[program.size() - kGateLength], kTextBegin, kTextEnd);
    return program;
}

bool equal(const std::vector<sock_filter>& a, const std::vector<sock_filter>& b) {
    return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0;
}

TEST(Defaults, PolicyIsThatOfTheFile) { EXPECT_EQ(memcmp(&built_in_policy(), &default_policy(), sizeof(Policy)), 0); }

TEST(Defaults, FilterIsThatOfThePolicy) { EXPECT_TRUE(equal(table(), built_now(default_policy()))); }

// The start without libc takes these options and the table.
TEST(Defaults, WorkersAndRewriteDoNotChangeTheFilter) {
    Policy policy = default_policy();
    policy.scheduler.workers = 7;
    policy.rewrite = 0;
    EXPECT_TRUE(equal(table(), built_now(policy)));
}

TEST(Defaults, AnotherRuleChangesTheFilter) {
    Policy policy = default_policy();
    policy.rules[__NR_getppid].action = Action::deny;
    EXPECT_FALSE(equal(table(), built_now(policy)));
}

}  // namespace
}  // namespace ocrun
