// filter_eval_test.cc - the interpreter against the kernel: which programs are accepted, and what they compute
#include "seccomp/filter_eval.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "tests/unit/seccomp/child.h"

namespace ocrun {
namespace {

using Program = std::vector<sock_filter>;

constexpr u16 kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

bool valid(const Program& program) {
    return filter_valid(program.data(), unsigned(program.size()));
}

u32 eval(const Program& program, const seccomp_data& data = {}) {
    EXPECT_TRUE(valid(program));
    return filter_eval(program.data(), unsigned(program.size()), data);
}

// The result of `body`, which leaves it in A.
u32 value_of(Program body, const seccomp_data& data = {}) {
    body.push_back(BPF_STMT(BPF_RET | BPF_A, 0));
    return eval(body, data);
}

long install(const Program& program) {
    const sock_fprog fprog = {(unsigned short)program.size(), const_cast<sock_filter*>(program.data())};
    sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog);
}

TEST(FilterEval, LoadsEveryWordOfTheCall) {
    seccomp_data data;
    for (u32 i = 0; i < sizeof data / 4; i++) {
        u32 word = 0x1000 + i;
        memcpy((char*)&data + i * 4, &word, 4);
    }
    for (u32 i = 0; i < sizeof data / 4; i++) EXPECT_EQ(value_of({BPF_STMT(kLoad, i * 4)}, data), 0x1000 + i);
    EXPECT_EQ(value_of({BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0)}), sizeof data);
}

TEST(FilterEval, DivisionByAZeroRegisterKillsTheThread) {
    EXPECT_EQ(value_of({BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_LDX | BPF_IMM, 0),
                        BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_LD | BPF_IMM, 9)}),
              SECCOMP_RET_KILL_THREAD);
}

TEST(FilterEval, JumpsBothWays) {
    for (auto [code, a, k, taken] : {std::tuple{BPF_JEQ, 5u, 5u, true},
                                     {BPF_JEQ, 5u, 6u, false},
                                     {BPF_JGT, 5u, 5u, false},
                                     {BPF_JGT, ~0u, 5u, true},
                                     {BPF_JGE, 5u, 5u, true},
                                     {BPF_JGE, 4u, 5u, false},
                                     {BPF_JSET, 6u, 2u, true},
                                     {BPF_JSET, 6u, 8u, false}}) {
        Program p = {BPF_STMT(BPF_LD | BPF_IMM, a), BPF_JUMP(u16(BPF_JMP | code | BPF_K), k, 0, 1),
                     BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 0)};
        EXPECT_EQ(eval(p), taken ? 1u : 0u) << code << " " << a << " " << k;
        p[1].code = u16(BPF_JMP | code | BPF_X);
        p.insert(p.begin(), BPF_STMT(BPF_LDX | BPF_IMM, k));
        EXPECT_EQ(eval(p), taken ? 1u : 0u) << code << " by register";
    }
}

TEST(FilterValid, WantsBetweenOneAndMaxInstructions) {
    EXPECT_FALSE(filter_valid(nullptr, 0));
    EXPECT_TRUE(valid(Program(BPF_MAXINSNS, kAllow)));
    EXPECT_FALSE(valid(Program(BPF_MAXINSNS + 1, kAllow)));
}

// Pairs of code and operand placed where A, X and scratch word 0 are set, so that an accepted program returns ALLOW.
TEST(FilterValid, AgreesWithTheKernelOnEveryOpcode) {
    struct Case {
        Program program;
        bool kernel;
    };
    std::vector<Case> cases;
    auto add = [&cases](u16 code, u32 k, u8 jt = 0, u8 jf = 0) {
        if (code == (BPF_RET | BPF_K)) k = SECCOMP_RET_ALLOW;
        cases.push_back({{BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_LDX | BPF_IMM, 1),
                          BPF_STMT(BPF_ST, 0), sock_filter{code, jt, jf, k}, kAllow, kAllow},
                         false});
    };
    for (u32 code = 0; code <= 0x1ff; code++)
        for (u32 k : {0u, 1u, 16u}) add(u16(code), k);
    for (u32 k : {2u, 4u, 31u, 32u, 60u, 64u, ~0u})
        for (u16 code : {u16(kLoad), u16(BPF_ST), u16(BPF_STX), u16(BPF_LD | BPF_MEM), u16(BPF_JMP | BPF_JA),
                         u16(BPF_ALU | BPF_LSH), u16(BPF_ALU | BPF_RSH | BPF_X), u16(BPF_ALU | BPF_DIV)})
            add(code, k);
    for (u8 far : {1, 2, 255}) add(BPF_JMP | BPF_JEQ, 0, far, 0), add(BPF_JMP | BPF_JSET | BPF_X, 0, 0, far);
    cases.push_back({{BPF_STMT(BPF_LD | BPF_IMM, 0)}, false});

    auto* accepted = (u8*)mmap(nullptr, cases.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(accepted, MAP_FAILED);
    int status = in_child([&] {
        for (size_t i = 0; i < cases.size(); i++) accepted[i] = install(cases[i].program) == 0;
        return 42;
    });
    ASSERT_TRUE(exited_with(status, 42)) << status;
    for (size_t i = 0; i < cases.size(); i++) {
        const sock_filter& insn = cases[i].program[cases[i].program.size() > 3 ? 3 : 0];
        EXPECT_EQ(valid(cases[i].program), accepted[i] != 0) << std::hex << "code " << insn.code << " k " << insn.k
                                                             << " jt " << int(insn.jt) << " jf " << int(insn.jf);
    }
    munmap(accepted, cases.size());
}

TEST(FilterValid, WantsScratchWordsWrittenOnEveryPath) {
    const sock_filter read = BPF_STMT(BPF_LD | BPF_MEM, 3), write = BPF_STMT(BPF_ST, 3),
                      none = BPF_STMT(BPF_MISC | BPF_TAX, 0);
    const struct {
        Program program;
        bool good;
    } cases[] = {
        {{read, kAllow}, false},
        {{write, read, kAllow}, true},
        {{BPF_JUMP(BPF_JMP | BPF_JEQ, 0, 0, 1), write, read, kAllow}, false},
        {{BPF_JUMP(BPF_JMP | BPF_JEQ, 0, 0, 2), write, BPF_STMT(BPF_JMP | BPF_JA, 1), write, read, kAllow}, true},
        {{BPF_JUMP(BPF_JMP | BPF_JEQ, 0, 0, 2), write, BPF_STMT(BPF_JMP | BPF_JA, 1), none, read, kAllow}, false},
        {{BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), read, kAllow},
         true},  // never reached; the kernel differs, see below
    };
    for (size_t i = 0; i + 1 < std::size(cases); i++) {
        EXPECT_EQ(valid(cases[i].program), cases[i].good) << i;
        int status = in_child([&] { return install(cases[i].program) == 0 ? 1 : 0; });
        EXPECT_TRUE(exited_with(status, cases[i].good)) << i;
    }
    // Code behind a return that nothing jumps to: both must say the same, whatever it is.
    const Program& dead = cases[std::size(cases) - 1].program;
    int status = in_child([&] { return install(dead) == 0 ? 1 : 0; });
    EXPECT_TRUE(exited_with(status, valid(dead)));
}

// Four numbers that no kernel knows; the probe tells which byte of the result the program shall show as an errno.
constexpr u32 kProbe = 1000;

// Random valid code over the call's number and arguments.
Program random_body(std::mt19937& random) {
    auto below = [&random](u32 n) { return u32(random() % n); };
    auto number = [&]() -> u32 {
        switch (below(4)) {
            case 0:
                return below(64);
            case 1:
                return 1u << below(32);
            case 2:
                return ~0u - below(4);
            default:
                return u32(random());
        }
    };
    Program p = {BPF_STMT(BPF_LD | BPF_IMM, number()), BPF_STMT(BPF_LDX | BPF_IMM, number())};
    for (u32 k = 0; k < BPF_MEMWORDS; k++) p.push_back(BPF_STMT(BPF_ST, k));
    const size_t length = p.size() + 10 + below(60);
    const u16 alu[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH};
    const u16 jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
    while (p.size() < length) {
        const u32 left = u32(length - p.size() - 1);
        const u16 source = below(2) ? BPF_X : BPF_K;
        switch (below(9)) {
            case 0: {
                // Anything but the instruction pointer, which the test does not know.
                u32 word = below(sizeof(seccomp_data) / 4);
                if (word != 2 && word != 3) p.push_back(BPF_STMT(kLoad, word * 4));
                break;
            }
            case 1:
                p.push_back(BPF_STMT(u16(below(2) ? BPF_LD : BPF_LDX) | BPF_MEM, below(BPF_MEMWORDS)));
                break;
            case 2:
                p.push_back(BPF_STMT(u16(below(2) ? BPF_ST : BPF_STX), below(BPF_MEMWORDS)));
                break;
            case 3:
                p.push_back(BPF_STMT(u16(BPF_MISC | (below(2) ? BPF_TAX : BPF_TXA)), 0));
                break;
            case 4:
                p.push_back(BPF_STMT(u16(below(2) ? BPF_LD : BPF_LDX) | BPF_IMM, number()));
                break;
            case 5:
                p.push_back(BPF_STMT(BPF_ALU | BPF_NEG, 0));
                break;
            case 6:
                if (left > 0)
                    p.push_back(BPF_JUMP(u16(BPF_JMP | jumps[below(4)] | source), number(), u8(below(left)),
                                         u8(below(left))));
                break;
            default: {
                u16 op = alu[below(9)];
                u32 k = number();
                if (op == BPF_LSH || op == BPF_RSH) k &= 31;
                if (op == BPF_DIV && k == 0) k = 3;
                if (op == BPF_DIV && source == BPF_X) p.push_back(BPF_STMT(BPF_LDX | BPF_IMM, k));
                p.push_back(BPF_STMT(u16(BPF_ALU | op | source), k));
            }
        }
    }
    return p;
}

// body, then: probe n shows byte n of A as errno byte + 1; every other call is allowed first of all.
Program with_probes(const Program& body) {
    Program p = {BPF_STMT(kLoad, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JGE, kProbe, 1, 0), kAllow};
    p.insert(p.end(), body.begin(), body.end());
    p.insert(p.end(),
             {BPF_STMT(BPF_ST, 15), BPF_STMT(kLoad, offsetof(seccomp_data, nr)),
              BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, kProbe), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 8),
              BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_MEM, 15), BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0),
              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
              BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0)});
    return p;
}

TEST(FilterEval, ComputesWhatTheKernelComputes) {
    std::mt19937 random(20240607);  // fixed: a failure can be repeated
    struct Shared {
        u32 result[4];
    };
    auto* shared = (Shared*)mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE((void*)shared, MAP_FAILED);
    for (int round = 0; round < 300; round++) {
        const Program program = with_probes(random_body(random));
        ASSERT_TRUE(valid(program)) << round;
        u64 args[6];
        for (u64& a : args) a = u64(random()) << 32 | random();
        int status = in_child([&] {
            if (install(program) != 0) return 1;
            for (u32 i = 0; i < 4; i++)
                shared->result[i] = u32(-sys(kProbe + i, args[0], args[1], args[2], args[3], args[4], args[5]));
            return 42;
        });
        ASSERT_TRUE(exited_with(status, 42)) << round << ": " << status;
        for (u32 i = 0; i < 4; i++) {
            seccomp_data data = {};
            data.nr = int(kProbe + i);
            data.arch = AUDIT_ARCH_X86_64;
            for (int k = 0; k < 6; k++) data.args[k] = args[k];
            ASSERT_EQ(eval(program, data), SECCOMP_RET_ERRNO | shared->result[i])
                << "round " << round << " byte " << i;
        }
    }
    munmap(shared, 4096);
}

TEST(FilterEval, DivisionByAZeroRegisterIsFatalInTheKernelToo) {
    const Program program = {BPF_STMT(kLoad, offsetof(seccomp_data, nr)),
                             BPF_JUMP(BPF_JMP | BPF_JGE, kProbe, 1, 0),
                             kAllow,
                             BPF_STMT(BPF_LDX | BPF_IMM, 0),
                             BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
                             kAllow};
    int status = in_child([&] {
        if (install(program) != 0) return 1;
        sys(kProbe);
        return 2;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << status;
}

}  // namespace
}  // namespace ocrun
