// syscall_table_test.cc - the table is complete, ordered and consistent with itself and with the headers
#include "seccomp/syscall_table.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <string>

#include "seccomp/hooks.h"

namespace ocrun {
namespace {

struct Written {
    unsigned nr;
    const char* name;
    const char* handler;
};
const Written kWritten[] = {
#define OC_SYSCALL(nr, name, args, groups, hook, condition, can_park, handler, limitation) {nr, name, #handler},
#include "seccomp/syscall_table.def"
#undef OC_SYSCALL
};

// The last number of Linux 6.18 on x86-64 (file_setattr).
constexpr unsigned kLast = 469;

TEST(SyscallTable, HasEveryNumberOfTheDistributionsHeaderUnderItsName) {
    std::ifstream header("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
    if (!header) GTEST_SKIP() << "no kernel headers here";
    const std::regex define("#define __NR_([a-z0-9_]+) ([0-9]+)");
    std::string line;
    unsigned seen = 0;
    for (std::smatch match; std::getline(header, line);) {
        if (!std::regex_match(line, match, define)) continue;
        const SyscallRow* row = syscall_row(unsigned(std::stoul(match[2])));
        ASSERT_NE(row, nullptr) << line;
        EXPECT_EQ(row->name, match[1]) << line;
        seen++;
    }
    EXPECT_GT(seen, 300u);
}

TEST(SyscallTable, HasNoHolesButTheReservedNumbers) {
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        bool used = nr <= 336 || (nr >= 424 && nr <= kLast);
        EXPECT_EQ(syscall_row(nr) != nullptr, used) << nr;
    }
}

TEST(SyscallTable, AnswersUnknownNumbersAndNamesWithNothing) {
    EXPECT_EQ(syscall_row(kSyscallLimit), nullptr);
    EXPECT_EQ(syscall_row(~0u), nullptr);
    EXPECT_EQ(syscall_name(400), nullptr);
    EXPECT_EQ(syscall_row_by_name("reed"), nullptr);
    EXPECT_EQ(syscall_row_by_name(""), nullptr);
}

TEST(SyscallTable, FindsEachRowByNumberAndByName) {
    std::set<std::string> names;
    for (const Written& w : kWritten) {
        const SyscallRow* row = syscall_row(w.nr);
        ASSERT_NE(row, nullptr) << w.name;
        EXPECT_EQ(row->nr, w.nr);
        EXPECT_STREQ(row->name, w.name);
        EXPECT_STREQ(syscall_name(w.nr), w.name);
        EXPECT_EQ(syscall_row_by_name(w.name), row);
        EXPECT_TRUE(names.insert(w.name).second) << w.name << " appears twice";
    }
}

TEST(SyscallTable, HookedRowsHaveTheirOwnHandlerAndOthersTheGenericOne) {
    for (const Written& w : kWritten) {
        const SyscallRow* row = syscall_row(w.nr);
        std::string expected = row->hook == Hook::none ? "h_generic" : std::string("h_") + w.name;
        EXPECT_EQ(w.handler, expected);
    }
}

TEST(SyscallTable, RowsAreWellFormed) {
    const std::regex groups("[a-z]+( [a-z]+)*"), args("[ifpbsm]{0,6}");
    for (const Written& w : kWritten) {
        const SyscallRow* row = syscall_row(w.nr);
        EXPECT_TRUE(std::regex_match(row->groups, groups)) << w.name << ": " << row->groups;
        EXPECT_TRUE(std::regex_match(row->args, args)) << w.name << ": " << row->args;
        if (row->hook == Hook::none) {
            EXPECT_EQ(row->condition, Condition::always) << w.name;
            EXPECT_FALSE(row->can_park) << w.name;
        }
    }
}

TEST(SyscallTable, EveryCallThatEntersOrLeavesAThreadIsRequired) {
    for (const char* name : {"clone", "clone3", "fork", "vfork", "execve", "execveat", "exit", "exit_group",
                             "rt_sigreturn", "rt_sigaction", "futex", "arch_prctl", "seccomp", "rseq"})
        EXPECT_EQ(syscall_row_by_name(name)->hook, Hook::required) << name;
}

TEST(Hooks, CallsTheKernelEntersByItselfAreNeverHooked) {
    EXPECT_TRUE(never_hooked(syscall_row_by_name("restart_syscall")->nr));
    EXPECT_TRUE(never_hooked(syscall_row_by_name("uretprobe")->nr));
    EXPECT_TRUE(never_hooked(syscall_row_by_name("uprobe")->nr));
    Policy policy = {};
    for (const char* name : {"restart_syscall", "uretprobe", "uprobe"}) {
        const SyscallRow* row = syscall_row_by_name(name);
        policy.rules[row->nr].log = true;
        EXPECT_EQ(trap_of(policy, *row), Trap::never) << name;
    }
}

TEST(Hooks, PolicyDecidesWithinTheTablesBounds) {
    Policy policy = {};
    auto decide = [&policy](const char* name, Action action) {
        const SyscallRow* row = syscall_row_by_name(name);
        policy.rules[row->nr] = {};
        policy.rules[row->nr].action = action;
        return trap_of(policy, *row);
    };
    EXPECT_EQ(decide("getpid", Action::standard), Trap::never);
    EXPECT_EQ(decide("getpid", Action::ret), Trap::always);
    EXPECT_EQ(decide("read", Action::standard), Trap::always);
    EXPECT_EQ(decide("read", Action::native), Trap::never);
    EXPECT_EQ(decide("futex", Action::native), Trap::always);
    EXPECT_EQ(decide("mmap", Action::standard), Trap::on_condition);
    EXPECT_EQ(decide("mmap", Action::native), Trap::on_condition);
    EXPECT_EQ(decide("mmap", Action::deny), Trap::always);
    EXPECT_EQ(decide("fcntl", Action::native), Trap::never);
    EXPECT_EQ(decide("fcntl", Action::park), Trap::always);
}

}  // namespace
}  // namespace ocrun
