// compact_test.cc - a compacted program decides as the original does
#include "seccomp/compact.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "seccomp/filter_eval.h"

namespace ocrun {
namespace {

using Program = std::vector<sock_filter>;

Program exported(scmp_filter_ctx context) {
    int fd = memfd_create("program", 0);
    EXPECT_EQ(seccomp_export_bpf(context, fd), 0);
    Program program(size_t(lseek(fd, 0, SEEK_END)) / sizeof(sock_filter));
    EXPECT_EQ(pread(fd, program.data(), program.size() * sizeof program[0], 0), ssize_t(program.size() * sizeof program[0]));
    close(fd);
    return program;
}

// Numbers in runs and alone, arguments under masks, equal, in ranges, two at once: as the policy's rules are.
Program original() {
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
    seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (int nr : {0, 1, 2, 3, 7, 8, 19, 20, 21, 40, 41, 42, 43, 44, 77, 101, 102, 200, 230, 231, 232, 300, 333, 334, 439, 441, 449, 454, 455, 456})
        EXPECT_EQ(seccomp_rule_add_exact(context, SCMP_ACT_TRAP, nr, 0), 0);
    auto rule = [&](int nr, std::initializer_list<scmp_arg_cmp> compares) {
        EXPECT_EQ(seccomp_rule_add_exact_array(context, SCMP_ACT_TRAP, nr, unsigned(compares.size()), compares.begin()), 0);
    };
    rule(9, {{3, SCMP_CMP_MASKED_EQ, 1, 1}});
    rule(9, {{3, SCMP_CMP_MASKED_EQ, 0x10, 0x10}, {0, SCMP_CMP_MASKED_EQ, ~0x3ffffffull, 0x7c000000}});
    rule(9, {{0, SCMP_CMP_LT, 0x7c000000, 0}, {1, SCMP_CMP_GT, 0x4000000, 0}});
    rule(11, {{0, SCMP_CMP_MASKED_EQ, ~0x3ffffffull, 0x7c000000}});
    for (scmp_datum_t command : {7, 38, 0, 1030}) rule(72, {{1, SCMP_CMP_MASKED_EQ, 0xffffffff, command}});
    rule(72, {{0, SCMP_CMP_MASKED_EQ, 0xfffffff0, 0xff0}});
    rule(5, {{0, SCMP_CMP_MASKED_EQ, 0xfffffff0, 0xff0}});
    rule(262, {{3, SCMP_CMP_MASKED_EQ, 0x1000, 0}});
    Program program = exported(context);
    seccomp_release(context);
    return program;
}

TEST(Compact, IsShorterAndValid) {
    Program before = original(), after = compact(before);
    EXPECT_LT(after.size(), before.size());
    EXPECT_TRUE(filter_valid(after.data(), unsigned(after.size())));
}

TEST(Compact, DecidesAsBefore) {
    Program before = original(), after = compact(before);
    std::mt19937_64 random(1);
    std::vector<u64> values{0, 1, ~0ull};
    for (const sock_filter& i : before)
        for (u64 v : {u64(i.k), u64(i.k) << 32, u64(i.k | 0x100000000ull)})
            for (u64 near : {v - 1, v, v + 1}) values.push_back(near);
    auto any = [&] { return values[random() % values.size()]; };
    std::vector<int> numbers{-1, -2, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff};
    for (int nr = 0; nr < 600; nr++) numbers.push_back(nr);
    for (u32 arch : {u32(AUDIT_ARCH_X86_64), u32(AUDIT_ARCH_I386)})
        for (int nr : numbers)
            for (int turn = 0; turn < 200; turn++) {
                seccomp_data data{nr, arch, any(), {any(), any(), any(), any(), any(), any()}};
                ASSERT_EQ(filter_eval(before.data(), unsigned(before.size()), data), filter_eval(after.data(), unsigned(after.size()), data))
                    << "number " << nr << " arch " << arch;
            }
}

TEST(Compact, LeavesForeignProgramsAlone) {
    Program other{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1), BPF_STMT(BPF_RET | BPF_A, 0)};
    EXPECT_EQ(compact(other).size(), other.size());
}

}  // namespace
}  // namespace ocrun
