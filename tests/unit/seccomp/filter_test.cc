// filter_test.cc - every decision of the built program, read off the interpreter
#include "seccomp/filter.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include <array>
#include <cstddef>

#include "seccomp/filter_eval.h"
#include "seccomp/hooks.h"

namespace ocrun {
namespace {

constexpr u64 kTextBegin = 0x7c001000, kTextEnd = 0x7c200000;
constexpr u64 kGuestIp = 0x7f1234567890;
constexpr u64 kHigh = 0xffffffff00000000;

using Args = std::array<u64, 6>;

class Filter : public testing::Test {
protected:
    void SetUp() override { build(Policy{}); }

    void build(const Policy& policy) {
        auto built = build_filter(policy, kTextBegin, kTextEnd);
        auto* error = std::get_if<FilterError>(&built);
        ASSERT_EQ(error, nullptr) << error->message;
        program_ = std::get<std::vector<sock_filter>>(built);
        ASSERT_TRUE(filter_valid(program_.data(), unsigned(program_.size())));
    }

    u32 run(u32 nr, u64 ip, u32 arch, const Args& args = {}) {
        seccomp_data data = {};
        data.nr = int(nr);
        data.arch = arch;
        data.instruction_pointer = ip;
        for (size_t i = 0; i < args.size(); i++) data.args[i] = args[i];
        return filter_eval(program_.data(), unsigned(program_.size()), data);
    }
    bool traps(u32 nr, const Args& args = {}) {
        u32 guest = run(nr, kGuestIp, AUDIT_ARCH_X86_64, args);
        EXPECT_TRUE(guest == SECCOMP_RET_TRAP || guest == SECCOMP_RET_ALLOW) << nr << ": " << guest;
        EXPECT_EQ(run(nr, kTextBegin + 0x100, AUDIT_ARCH_X86_64, args), SECCOMP_RET_ALLOW) << nr;
        return guest == SECCOMP_RET_TRAP;
    }

    std::vector<sock_filter> program_;
};

TEST_F(Filter, TrapsHookedCallsOfTheGuestAndAllowsThoseOfTheRuntime) {
    const Policy policy = {};
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (row && trap_of(policy, *row) == Trap::on_condition) continue;
        EXPECT_EQ(traps(nr), row && trap_of(policy, *row) == Trap::always) << nr;
    }
}

TEST_F(Filter, ArgumentsDoNotMatterToUnconditionalCalls) {
    const Args all = {~0ul, ~0ul, ~0ul, ~0ul, ~0ul, ~0ul};
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row || row->condition == Condition::always) {
            EXPECT_EQ(traps(nr, all), traps(nr)) << nr;
        }
    }
}

TEST_F(Filter, AllowsNumbersThatNobodyKnows) {
    for (u32 nr : {337u, 423u, 470u, 511u, 512u, 547u, 1000u, 0x3fffffffu}) EXPECT_FALSE(traps(nr)) << nr;
}

TEST_F(Filter, GateIsExactAtBothEndsOfTheText) {
    auto at = [this](u64 ip) { return run(__NR_futex, ip, AUDIT_ARCH_X86_64); };
    EXPECT_EQ(at(kTextBegin - 1), SECCOMP_RET_TRAP);
    EXPECT_EQ(at(kTextBegin), SECCOMP_RET_ALLOW);
    EXPECT_EQ(at(kTextEnd - 1), SECCOMP_RET_ALLOW);
    EXPECT_EQ(at(kTextEnd), SECCOMP_RET_TRAP);
    EXPECT_EQ(at(kTextBegin | 1ul << 32), SECCOMP_RET_TRAP);
    EXPECT_EQ(at(kTextBegin | 1ul << 63), SECCOMP_RET_TRAP);
    EXPECT_EQ(at(0), SECCOMP_RET_TRAP);
    EXPECT_EQ(at(~0ul), SECCOMP_RET_TRAP);
}

TEST_F(Filter, GateWorksForATextAboveFourGiB) {
    const u64 begin = 0x555500001000, end = 0x555500002000;
    auto built = build_filter(Policy{}, begin, end);
    program_ = std::get<std::vector<sock_filter>>(built);
    EXPECT_EQ(run(__NR_futex, begin, AUDIT_ARCH_X86_64), SECCOMP_RET_ALLOW);
    EXPECT_EQ(run(__NR_futex, end, AUDIT_ARCH_X86_64), SECCOMP_RET_TRAP);
    EXPECT_EQ(run(__NR_futex, u32(begin), AUDIT_ARCH_X86_64), SECCOMP_RET_TRAP);
}

TEST_F(Filter, RefusesATextThatItCannotCompare) {
    for (auto [begin, end] : {std::pair<u64, u64>{0x2000, 0x1000}, {0x1000, 0x1000}, {0xfffff000, 0x100001000}}) {
        auto built = build_filter(Policy{}, begin, end);
        ASSERT_TRUE(std::holds_alternative<FilterError>(built));
        EXPECT_NE(std::get<FilterError>(built).message, "");
    }
}

TEST_F(Filter, TrapsEveryI386CallOfTheGuest) {
    for (u32 nr = 0; nr < 500; nr++) {
        EXPECT_EQ(run(nr, kGuestIp, AUDIT_ARCH_I386), SECCOMP_RET_TRAP) << nr;
        EXPECT_EQ(run(nr, 0x8048000, AUDIT_ARCH_I386), SECCOMP_RET_TRAP) << nr;
    }
}

TEST_F(Filter, TrapsEveryX32CallOfTheGuest) {
    for (u32 nr = 0; nr < 600; nr++) EXPECT_TRUE(traps(nr | 0x40000000)) << nr;
}

TEST_F(Filter, TrapsForeignArchitectures) {
    EXPECT_EQ(run(__NR_getpid, kGuestIp, AUDIT_ARCH_AARCH64), SECCOMP_RET_TRAP);
    EXPECT_EQ(run(__NR_getpid, kGuestIp, 0), SECCOMP_RET_TRAP);
}

TEST_F(Filter, MmapTrapsForSharedMappings) {
    const u64 anon = MAP_ANONYMOUS, hint = 0x7f0000000000;
    EXPECT_FALSE(traps(__NR_mmap, {0, 4096, 3, MAP_PRIVATE | anon, ~0ul, 0}));
    EXPECT_FALSE(traps(__NR_mmap, {hint, 4096, 3, MAP_PRIVATE | anon | MAP_FIXED, ~0ul, 0}));
    EXPECT_FALSE(traps(__NR_mmap, {0, 4096, 3, MAP_PRIVATE | anon | MAP_STACK | MAP_NORESERVE, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {0, 4096, 3, MAP_SHARED | anon, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {0, 4096, 3, MAP_SHARED_VALIDATE, 5, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {0, 4096, 3, kHigh | MAP_SHARED, 5, 0}));
}

TEST_F(Filter, MmapTrapsForFixedMappingsThatMayTouchTheWindow) {
    for (u64 fixed : {u64(MAP_FIXED), u64(MAP_FIXED_NOREPLACE)}) {
        const u64 flags = MAP_PRIVATE | MAP_ANONYMOUS | fixed;
        EXPECT_TRUE(traps(__NR_mmap, {kWindowBegin, 4096, 3, flags, ~0ul, 0}));
        EXPECT_TRUE(traps(__NR_mmap, {kWindowEnd - 4096, 4096, 3, flags, ~0ul, 0}));
        EXPECT_TRUE(traps(__NR_mmap, {kWindowBegin - 4096, 8192, 3, flags, ~0ul, 0}));
        EXPECT_TRUE(traps(__NR_mmap, {0x400000, 0x80000000, 3, flags, ~0ul, 0}));
        EXPECT_FALSE(traps(__NR_mmap, {kWindowEnd, 4096, 3, flags, ~0ul, 0}));
        EXPECT_FALSE(traps(__NR_mmap, {0x400000, 0x100000, 3, flags, ~0ul, 0}));
        EXPECT_FALSE(traps(__NR_mmap, {kWindowBegin | 1ul << 32, 4096, 3, flags, ~0ul, 0}));
    }
    // A mere hint replaces nothing.
    EXPECT_FALSE(traps(__NR_mmap, {kWindowBegin, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, ~0ul, 0}));
}

TEST_F(Filter, MmapTrapsForThreadStacksAndInTheArena) {
    const u64 anon = MAP_PRIVATE | MAP_ANONYMOUS;
    EXPECT_TRUE(traps(__NR_mmap, {0, 8 << 20, PROT_NONE, anon | MAP_STACK, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {0, 1ul << 33, PROT_NONE, anon | MAP_STACK | MAP_NORESERVE, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {0, 139264, PROT_NONE, anon, ~0ul, 0}));  // musl's
    EXPECT_FALSE(traps(__NR_mmap, {0, 1ul << 27, PROT_NONE, anon, ~0ul, 0}));
    EXPECT_FALSE(traps(__NR_mmap, {0, 4096, PROT_NONE, anon | MAP_NORESERVE, ~0ul, 0}));
    EXPECT_FALSE(traps(__NR_mmap, {0x7f0000000000, 4096, PROT_NONE, anon | MAP_STACK, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {kArenaBegin, 4096, 3, anon, ~0ul, 0}));
    EXPECT_TRUE(traps(__NR_mmap, {kArenaEnd - 4096, 4096, 3, anon | MAP_FIXED, ~0ul, 0}));
    EXPECT_FALSE(traps(__NR_mmap, {kArenaEnd, 4096, 3, anon | MAP_FIXED, ~0ul, 0}));
}

TEST_F(Filter, RangeCallsTrapInTheArena) {
    for (u32 nr : {__NR_munmap, __NR_mprotect, __NR_mremap, __NR_madvise, __NR_pkey_mprotect}) {
        EXPECT_TRUE(traps(nr, {kArenaBegin, 4096})) << nr;
        EXPECT_TRUE(traps(nr, {kArenaEnd - 4096, 4096})) << nr;
        EXPECT_FALSE(traps(nr, {kArenaEnd, 4096})) << nr;
        EXPECT_FALSE(traps(nr, {kArenaBegin - 4096, 4096})) << nr;
    }
    EXPECT_TRUE(traps(__NR_mremap, {0x7f0000000000, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, kArenaBegin + 4096}));
}

TEST_F(Filter, RangeCallsTrapForRangesThatMayTouchTheWindow) {
    for (u32 nr : {__NR_munmap, __NR_mprotect, __NR_mremap, __NR_madvise, __NR_pkey_mprotect}) {
        EXPECT_TRUE(traps(nr, {kWindowBegin, 4096})) << nr;
        EXPECT_TRUE(traps(nr, {kWindowEnd - 1, 4096})) << nr;
        EXPECT_TRUE(traps(nr, {kWindowBegin - 4096, 8192})) << nr;
        EXPECT_TRUE(traps(nr, {0, ~0ul})) << nr;
        EXPECT_FALSE(traps(nr, {kWindowEnd, 1ul << 40})) << nr;
        EXPECT_FALSE(traps(nr, {0x400000, 0x1000})) << nr;
        EXPECT_FALSE(traps(nr, {0x7f0000000000, 0x1000})) << nr;
    }
}

// Whatever the range: if it overlaps the window the call traps.
TEST_F(Filter, NoRangeOverTheWindowIsMissed) {
    const u64 edges[] = {0,
                         0x1000,
                         0x400000,
                         kWindowBegin - 0x4000001,
                         kWindowBegin - 0x4000000,
                         kWindowBegin - 0x1000,
                         kWindowBegin - 1,
                         kWindowBegin,
                         kWindowBegin + 0x1000,
                         kWindowEnd - 1};
    for (u64 start : edges)
        for (u64 end : {kWindowBegin + 1, kWindowBegin + 0x1000, kWindowEnd, kWindowEnd + 0x1000, 1ul << 46})
            if (end > start) {
                EXPECT_TRUE(traps(__NR_munmap, {start, end - start})) << start << ".." << end;
            }
}

TEST_F(Filter, MremapTrapsForATargetInTheWindow) {
    const u64 from = 0x7f0000000000;
    EXPECT_TRUE(traps(__NR_mremap, {from, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, kWindowBegin + 4096}));
    EXPECT_TRUE(traps(__NR_mremap, {from, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, kWindowBegin - 4096}));
    EXPECT_FALSE(traps(__NR_mremap, {from, 4096, 8192, MREMAP_MAYMOVE, kWindowBegin + 4096}));
    EXPECT_FALSE(traps(__NR_mremap, {from, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, from + 0x10000}));
}

TEST_F(Filter, FcntlTrapsForWaitingLocksAndDuplicatesOnly) {
    for (u64 command : {F_SETLKW, F_OFD_SETLKW, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFL}) {
        EXPECT_TRUE(traps(__NR_fcntl, {3, command})) << command;
        EXPECT_TRUE(traps(__NR_fcntl, {3, command | kHigh}))
            << command << " with rubbish the kernel does not look at";
    }
    for (u64 command : {F_GETFD, F_SETFD, F_GETFL, F_SETLK, F_GETLK, F_OFD_SETLK, F_GETPIPE_SZ})
        EXPECT_FALSE(traps(__NR_fcntl, {3, command})) << command;
}

TEST_F(Filter, DescriptorCallsTrapForTheRuntimesNumbers) {
    for (u32 fd = u32(kUsualHiddenBase); fd < u32(kUsualHiddenBase) + 16; fd++) {
        EXPECT_TRUE(traps(__NR_fstat, {fd})) << fd;
        EXPECT_TRUE(traps(__NR_dup, {fd | kHigh})) << fd;
        EXPECT_TRUE(traps(__NR_fcntl, {fd, F_GETFD})) << fd;
        EXPECT_TRUE(traps(__NR_newfstatat, {fd, 1, 2, AT_EMPTY_PATH})) << fd;
    }
    for (u64 fd : {0ul, 3ul, 1000ul, u64(u32(kUsualHiddenBase)) - 1, u64(u32(kUsualHiddenBase)) + 16}) {
        EXPECT_FALSE(traps(__NR_fstat, {fd})) << fd;
        EXPECT_FALSE(traps(__NR_dup, {fd})) << fd;
        EXPECT_FALSE(traps(__NR_fcntl, {fd, F_GETFD})) << fd;
    }
    auto built = build_filter(Policy{}, kTextBegin, kTextEnd, 1001);
    program_ = std::get<std::vector<sock_filter>>(built);
    for (u32 fd = 1001; fd < 1017; fd++) EXPECT_TRUE(traps(__NR_fstat, {fd})) << fd;
    EXPECT_FALSE(traps(__NR_fstat, {u32(kUsualHiddenBase)}));
}

TEST_F(Filter, NewfstatatTrapsUnlessItMayBeAboutADescriptor) {
    EXPECT_TRUE(traps(__NR_newfstatat, {u64(AT_FDCWD), 1, 2, 0}));
    EXPECT_TRUE(traps(__NR_newfstatat, {u64(AT_FDCWD), 1, 2, AT_SYMLINK_NOFOLLOW}));
    EXPECT_FALSE(traps(__NR_newfstatat, {3, 1, 2, AT_EMPTY_PATH}));
    EXPECT_FALSE(traps(__NR_newfstatat, {3, 1, 2, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW}));
}

TEST_F(Filter, IoctlTrapsForJobControlAndFionbio) {
    for (u64 request : {u64(TIOCSPGRP), u64(TCSETS), u64(TCSETSW), u64(TCSETSF), u64(TCSETS2), u64(TCSETSW2),
                        u64(TCSETSF2), u64(TCSBRK), u64(TCSBRKP), u64(TCXONC), u64(TCFLSH), u64(FIONBIO)}) {
        EXPECT_TRUE(traps(__NR_ioctl, {0, request})) << request;
        EXPECT_TRUE(traps(__NR_ioctl, {0, request | kHigh})) << request;
    }
    for (u64 request : {TCGETS, TIOCGWINSZ, FIONREAD, FIOCLEX, TIOCGPGRP})
        EXPECT_FALSE(traps(__NR_ioctl, {0, request})) << request;
}

TEST_F(Filter, SetsockoptTrapsForTimeouts) {
    for (u64 option : {u64(SO_RCVTIMEO), u64(SO_SNDTIMEO), u64(66), u64(67)}) {
        EXPECT_TRUE(traps(__NR_setsockopt, {3, SOL_SOCKET, option})) << option;
        EXPECT_TRUE(traps(__NR_setsockopt, {3, SOL_SOCKET, option | kHigh})) << option;
    }
    EXPECT_FALSE(traps(__NR_setsockopt, {3, SOL_SOCKET, SO_RCVBUF}));
    EXPECT_FALSE(traps(__NR_setsockopt, {3, 6, SO_RCVTIMEO}));
}

TEST_F(Filter, NativeReleasesStandardCallsButNotRequiredOnes) {
    Policy policy = {};
    for (SyscallRule& rule : policy.rules) rule.action = Action::native;
    build(policy);
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (row && row->condition != Condition::always && row->hook == Hook::required) continue;
        // Nor those in which a tick of the runtime would show.
        EXPECT_EQ(traps(nr), row && (row->hook == Hook::required || signal_shows(nr))) << nr;
    }
    EXPECT_TRUE(traps(__NR_poll));
    EXPECT_FALSE(traps(__NR_read));
    EXPECT_FALSE(traps(__NR_fcntl, {3, F_SETLKW}));
    EXPECT_TRUE(traps(__NR_munmap, {kWindowBegin, 4096}));
}

TEST_F(Filter, InterveningRulesHookAnyCallAndDropItsCondition) {
    Policy policy = {};
    for (SyscallRule& rule : policy.rules) rule.log = true;
    build(policy);
    for (unsigned nr = 0; nr < kSyscallLimit; nr++)
        EXPECT_EQ(traps(nr), syscall_row(nr) != nullptr && !never_hooked(nr)) << nr;
}

TEST_F(Filter, EachInterveningFieldHooksAnUnhookedCall) {
    ASSERT_FALSE(traps(__NR_getpid));
    SyscallRule rules[4] = {};
    rules[0].action = Action::ret;
    rules[1].action = Action::deny;
    rules[2].action = Action::offload;
    rules[3].delay_us = 1;
    for (const SyscallRule& rule : rules) {
        Policy policy = {};
        policy.rules[__NR_getpid] = rule;
        build(policy);
        EXPECT_TRUE(traps(__NR_getpid));
        EXPECT_FALSE(traps(__NR_getppid));
    }
}

// The kernel's own test for its per-number bitmap (kernel/seccomp.c, since 5.11): it follows the program with nr and
// arch known and gives up at anything but loads of these two, comparisons with constants, AND and RET.
bool kernel_can_cache(const std::vector<sock_filter>& program, u32 nr) {
    u32 a = 0;
    for (size_t pc = 0; pc < program.size(); pc++) {
        const sock_filter& insn = program[pc];
        bool taken;
        switch (insn.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                if (insn.k == offsetof(seccomp_data, nr))
                    a = nr;
                else if (insn.k == offsetof(seccomp_data, arch))
                    a = AUDIT_ARCH_X86_64;
                else
                    return false;
                continue;
            case BPF_RET | BPF_K:
                return insn.k == SECCOMP_RET_ALLOW;
            case BPF_JMP | BPF_JA:
                pc += insn.k;
                continue;
            case BPF_JMP | BPF_JEQ | BPF_K:
                taken = a == insn.k;
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                taken = a >= insn.k;
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
                taken = a > insn.k;
                break;
            case BPF_JMP | BPF_JSET | BPF_K:
                taken = (a & insn.k) != 0;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                a &= insn.k;
                continue;
            default:
                return false;
        }
        pc += taken ? insn.jt : insn.jf;
    }
    return false;
}

TEST_F(Filter, KernelCanCacheExactlyTheUnhookedNumbers) {
    const Policy policy = {};
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        EXPECT_EQ(kernel_can_cache(program_, nr), !row || trap_of(policy, *row) == Trap::never) << nr;
    }
}

TEST_F(Filter, NoTrapIsLeftInFrontOfTheGate) {
    unsigned count = 0;
    for (const sock_filter& insn : program_)
        if (insn.code == (BPF_RET | BPF_K) && insn.k == SECCOMP_RET_TRAP) count++;
    EXPECT_EQ(count, 1u);
    EXPECT_EQ(program_.back().k, SECCOMP_RET_TRAP);
}

TEST_F(Filter, StaysWellBelowTheKernelsLimitEvenWithEverythingHooked) {
    EXPECT_LT(program_.size(), 600u);
    Policy policy = {};
    for (SyscallRule& rule : policy.rules) rule.action = Action::deny;
    build(policy);
    EXPECT_LT(program_.size(), 2000u);
}

}  // namespace
}  // namespace ocrun
