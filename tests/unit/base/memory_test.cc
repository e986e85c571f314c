// memory_test.cc - pages and the copies that survive bad guest pointers
#include "runtime/base/memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace ocrun {
namespace {

// What the runtime's fault handler does for a fault inside the copies (memory.h).
void resume_behind_copy(int signal, siginfo_t*, void* context) {
    auto& rip = ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
    if (rip >= (long)oc_copy_begin && rip < (long)oc_copy_end) {
        rip = (long)oc_copy_fault;
        return;
    }
    struct sigaction fatal = {};
    fatal.sa_handler = SIG_DFL;
    sigaction(signal, &fatal, nullptr);
}

// Two pages of which the second is not there.
class GuestCopy : public testing::Test {
protected:
    void SetUp() override {
        struct sigaction action = {};
        action.sa_sigaction = resume_behind_copy;
        action.sa_flags = SA_SIGINFO;
        ASSERT_EQ(sigaction(SIGSEGV, &action, &old_), 0);
        pages_ = (char*)mmap(nullptr, 2 * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE((void*)pages_, MAP_FAILED);
        ASSERT_EQ(mprotect(pages_ + kPageBytes, kPageBytes, PROT_NONE), 0);
        edge_ = pages_ + kPageBytes;
    }
    void TearDown() override {
        munmap(pages_, 2 * kPageBytes);
        sigaction(SIGSEGV, &old_, nullptr);
    }
    struct sigaction old_ = {};
    char* pages_ = nullptr;
    char* edge_ = nullptr;
};

TEST_F(GuestCopy, CopiesBothWays) {
    char back[6] = {};
    EXPECT_EQ(copy_to_guest(edge_ - 5, "hello", 5), 0);
    EXPECT_EQ(copy_from_guest(back, edge_ - 5, 5), 0);
    EXPECT_STREQ(back, "hello");
    EXPECT_EQ(copy_from_guest(back, nullptr, 0), 0);
}

TEST_F(GuestCopy, AnswersEfaultForABadPointer) {
    char buffer[8] = {};
    EXPECT_EQ(copy_from_guest(buffer, edge_, 1), -EFAULT);
    EXPECT_EQ(copy_to_guest(edge_, buffer, 1), -EFAULT);
    EXPECT_EQ(copy_from_guest(buffer, nullptr, 1), -EFAULT);
    EXPECT_EQ(copy_from_guest(buffer, (void*)0xdead000000000000, 1), -EFAULT) << "non-canonical";
}

TEST_F(GuestCopy, AnswersEfaultWhenOnlyTheEndIsBad) {
    char buffer[8] = {};
    memcpy(edge_ - 4, "abcd", 4);
    EXPECT_EQ(copy_from_guest(buffer, edge_ - 4, 8), -EFAULT);
    EXPECT_EQ(copy_to_guest(edge_ - 4, "12345678", 8), -EFAULT);
}

TEST_F(GuestCopy, ReadsTextUpToItsEnd) {
    char buffer[8];
    strcpy(edge_ - 4, "abc");
    EXPECT_EQ(copy_text_from_guest(buffer, edge_ - 4, sizeof buffer), 3);
    EXPECT_STREQ(buffer, "abc");
    EXPECT_EQ(copy_text_from_guest(buffer, edge_ - 1, sizeof buffer), 0);
    EXPECT_EQ(copy_text_from_guest(buffer, edge_ - 4, 4), 3) << "the NUL just fits";
    EXPECT_EQ(copy_text_from_guest(buffer, edge_ - 4, 3), -ENAMETOOLONG);
    memset(edge_ - 4, 'x', 4);
    EXPECT_EQ(copy_text_from_guest(buffer, edge_ - 4, sizeof buffer), -EFAULT);
}

TEST_F(GuestCopy, MovesWholeValues) {
    u64 value = 0;
    auto* at = (u64*)(edge_ - sizeof(u64));
    EXPECT_EQ(put_guest(at, u64(0x1122334455667788)), 0);
    EXPECT_EQ(get_guest(&value, at), 0);
    EXPECT_EQ(value, 0x1122334455667788u);
    EXPECT_EQ(get_guest(&value, edge_ - 4), -EFAULT);
}

TEST_F(GuestCopy, LoadsAndExchangesWords) {
    auto* word = (u32*)(edge_ - 4);
    u32 seen = 0;
    *word = 7;
    EXPECT_EQ(guest_load_u32(word, &seen), 0);
    EXPECT_EQ(seen, 7u);
    EXPECT_EQ(guest_cas_u32(word, 7, 9, &seen), 0);
    EXPECT_EQ(seen, 7u);
    EXPECT_EQ(*word, 9u);
    EXPECT_EQ(guest_cas_u32(word, 7, 11, &seen), 0);
    EXPECT_EQ(seen, 9u) << "the value that was there";
    EXPECT_EQ(*word, 9u);
    EXPECT_EQ(guest_load_u32((u32*)edge_, &seen), -EFAULT);
    EXPECT_EQ(guest_cas_u32((u32*)edge_, 0, 1, &seen), -EFAULT);
}

TEST(Pages, AreZeroedAndAligned) {
    auto* p = (char*)pages_alloc(1);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ((u64)p % kPageBytes, 0u);
    for (size_t i = 0; i < kPageBytes; i++) ASSERT_EQ(p[i], 0);
    pages_free(p, 1);
    for (size_t alignment : {size_t(kPageBytes), size_t(65536), size_t(1) << 21}) {
        auto* q = (char*)pages_alloc_aligned(3 * kPageBytes, alignment);
        ASSERT_NE(q, nullptr);
        EXPECT_EQ((u64)q % alignment, 0u);
        q[0] = q[3 * kPageBytes - 1] = 1;
        pages_free(q, 3 * kPageBytes);
    }
}

TEST(Pages, ThatCannotBeHadAreNull) {
    EXPECT_EQ(pages_alloc(size_t(1) << 60), nullptr);
}

TEST(Pages, RoundToPages) {
    EXPECT_EQ(page_up(0), 0u);
    EXPECT_EQ(page_up(1), 4096u);
    EXPECT_EQ(page_up(4096), 4096u);
    EXPECT_EQ(page_down(4097), 4096u);
}

}  // namespace
}  // namespace ocrun
