// rewrite_test.cc - which sites are rewritten and how, and that stubs do what the originals did
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "seccomp/rewrite/plan.h"

namespace ocrun {
namespace {

using Bytes = std::vector<u8>;
constexpr u64 kSite = 0x555555400000;

// `code` up to the `syscall`, behind enough ordinary instructions (push and pop of rbp, mov %rsp,%rbp).
Bytes with_lead(const Bytes& code) {
    Bytes all;
    while (all.size() < 160)
        for (u8 b : {0x55, 0x48, 0x89, 0xe5, 0x5d}) all.push_back(b);
    all.insert(all.end(), code.begin(), code.end());
    all.insert(all.end(), {0x0f, 0x05});
    return all;
}

SitePlan plan(const Bytes& code, u64 number) {
    Bytes all = with_lead(code);
    return plan_site(all.data(), u32(all.size() - 2), kSite, number);
}

TEST(Plan, NumberDirectlyBefore) {
    SitePlan p = plan({0xb8, 0x27, 0, 0, 0}, 0x27);
    EXPECT_EQ(p.tactic, Tactic::mov_imm);
    EXPECT_EQ(p.patch_at, kSite - 5);
    EXPECT_EQ(p.count, 1);
    EXPECT_EQ(p.pun_mask, 0);
}

TEST(Plan, AnotherNumberMeansAnotherWay) {
    SitePlan p = plan({0xb8, 0x27, 0, 0, 0}, 0x28);
    EXPECT_EQ(p.tactic, Tactic::none);
    EXPECT_STREQ(p.refused, "its number is not the one that stands before it");
}

TEST(Plan, TailOfALongerInstructionIsNotTheNumber) {
    // mov $0x27,%r8d: its last five bytes look like mov $0x27,%eax
    SitePlan p = plan({0x41, 0xb8, 0x27, 0, 0, 0}, 0x27);
    EXPECT_EQ(p.tactic, Tactic::upstream);
    EXPECT_EQ(p.patch_at, kSite - 6);
}

TEST(Plan, NearestLongInstructionOverShortOnes) {
    // mov $1,%eax ; mov %r8,%r10 ; xor %edi,%edi
    SitePlan p = plan({0xb8, 1, 0, 0, 0, 0x4d, 0x89, 0xc2, 0x31, 0xff}, 1);
    EXPECT_EQ(p.tactic, Tactic::upstream);
    EXPECT_EQ(p.patch_at, kSite - 10);
    EXPECT_EQ(p.count, 3);
    EXPECT_EQ(p.moved[1].offset, 5);
    EXPECT_EQ(p.moved[2].offset, 8);
}

TEST(Plan, WindowOfShortInstructionsIsPunned) {
    // Go's Syscall6: mov %rsi,%r10 ; mov %rdi,%rdx ; mov %rcx,%rsi ; mov %rbx,%rdi - after a jump nothing else is in reach
    Bytes code = {0xeb, 0x00, 0x49, 0x89, 0xf2, 0x48, 0x89, 0xfa, 0x48, 0x89, 0xce, 0x48, 0x89, 0xdf};
    SitePlan p = plan(code, 0);
    EXPECT_EQ(p.tactic, Tactic::window);
    EXPECT_EQ(p.patch_at, kSite - 6);
    EXPECT_EQ(p.count, 2);
    EXPECT_EQ(p.pun_mask, 1 << 3);
    u8 jump[kJumpBytes];
    EXPECT_TRUE(emit_jump(p, p.patch_at + kJumpBytes + 0x01060010, jump));
    EXPECT_EQ(jump[3], kTrapByte);
    EXPECT_FALSE(emit_jump(p, p.patch_at + kJumpBytes + 0x01070010, jump));
}

TEST(Plan, NothingIsMovedOverACall) {
    SitePlan p = plan({0xe8, 1, 2, 3, 4}, 0);
    EXPECT_EQ(p.tactic, Tactic::none);
    p = plan({0xff, 0xd0, 0x89, 0xc7}, 0);  // call *%rax ; mov %eax,%edi
    EXPECT_EQ(p.tactic, Tactic::none);
}

TEST(Plan, LoopsHaveNoLongForm) {
    SitePlan p = plan({0xe2, 0xfe}, 0);  // loop
    EXPECT_EQ(p.tactic, Tactic::none);
}

TEST(Plan, PaddingIsNotReplaced) {
    // a ten-byte nop before two short instructions: they are too short, the nop may never be executed
    SitePlan p = plan({0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x31, 0xff}, 0);
    EXPECT_NE(p.tactic, Tactic::upstream);
}

TEST(Plan, RefusesWhatIsNoSystemCall) {
    Bytes all(100, 0x90);
    EXPECT_EQ(plan_site(all.data(), 98, kSite, 0).tactic, Tactic::none);
    all[98] = 0x0f;
    all[99] = 0x05;
    EXPECT_EQ(plan_site(all.data() + 94, 4, kSite, 0).tactic, Tactic::none);
}

TEST(Emit, OperandsRelativeToTheInstructionKeepTheirTarget) {
    // mov 0x11223344(%rip),%rax ; xor %edi,%edi
    SitePlan p = plan({0x48, 0x8b, 0x05, 0x44, 0x33, 0x22, 0x11, 0x31, 0xff}, 0);
    ASSERT_EQ(p.tactic, Tactic::upstream);
    u8 moved[] = {0x48, 0x8b, 0x05, 0x44, 0x33, 0x22, 0x11, 0x31, 0xff}, out[kStubBytes];
    u64 address = kSite - 0x10000000;
    Stub s = emit_stub(p, moved, address, 0x7c000000, out);
    ASSERT_GT(s.bytes, 0u);
    i32 d;
    memcpy(&d, out + 3, 4);
    EXPECT_EQ(address + 7 + u64(i64(d)), p.patch_at + 7 + 0x11223344);
    EXPECT_EQ(s.copies[1], 7);
    EXPECT_EQ(s.copies[2], 9);
    // out of reach
    EXPECT_EQ(emit_stub(p, moved, kSite - 0x90000000, 0x7c000000, out).bytes, 0u);
}

TEST(Emit, ShortBranchesBecomeLongOnes) {
    // mov $5,%eax ; test %edi,%edi ; jz +0x10
    Bytes code = {0xb8, 5, 0, 0, 0, 0x85, 0xff, 0x74, 0x10};
    SitePlan p = plan(code, 5);
    ASSERT_EQ(p.tactic, Tactic::upstream);
    u8 out[kStubBytes];
    u64 address = kSite - 0x1000;
    Stub s = emit_stub(p, code.data(), address, 0x7c000000, out);
    ASSERT_GT(s.bytes, 0u);
    EXPECT_EQ(out[7], 0x0f);
    EXPECT_EQ(out[8], 0x84);
    i32 d;
    memcpy(&d, out + 9, 4);
    EXPECT_EQ(address + 13 + u64(i64(d)), kSite + 0x10);
}

// What oc_stub_entry is in the runtime: makes the call and goes on at rcx.
extern "C" void test_entry();
asm(R"(
.pushsection .text
.globl test_entry
test_entry:
    lea -128(%rsp), %rsp
    push %rcx
    syscall
    pop %rcx
    lea 128(%rsp), %rsp
    jmp *%rcx
.popsection
)");

TEST(Emit, ARewrittenFunctionDoesWhatItDid) {
    u8* low = (u8*)mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    ASSERT_NE(low, MAP_FAILED);
    void* entry = (void*)test_entry;
    memcpy(low, &entry, sizeof entry);
    // mov %edi,%edx ; test %edx,%edx ; mov $39,%eax ; jz out ; xor %edi,%edi ; syscall ; out: ret
    Bytes lead = with_lead({0x89, 0xfa, 0x85, 0xd2, 0xb8, 39, 0, 0, 0, 0x74, 0x04, 0x31, 0xff});
    lead.push_back(0xc3);
    u8* code = low + 4096;
    memcpy(code, lead.data(), lead.size());
    u64 site = (u64)code + lead.size() - 3;
    auto function = (long (*)(int))(site - 13);
    EXPECT_EQ(function(1), getpid());
    EXPECT_EQ(function(0), 39);
    SitePlan p = plan_site(code, u32(site - (u64)code), site, 39);
    ASSERT_EQ(p.tactic, Tactic::upstream);
    u8* stub = low + 8192;
    Stub s = emit_stub(p, (const u8*)p.patch_at, (u64)stub, u32((u64)low), stub);
    ASSERT_GT(s.bytes, 0u);
    u8 jump[kJumpBytes];
    ASSERT_TRUE(emit_jump(p, (u64)stub, jump));
    memcpy((void*)p.patch_at, jump, sizeof jump);
    EXPECT_EQ(function(1), getpid());
    EXPECT_EQ(function(0), 39);
    munmap(low, 3 * 4096);
}

}  // namespace
}  // namespace ocrun
