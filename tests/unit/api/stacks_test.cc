// stacks_test.cc - pooled stacks are distinct, writable from end to end, and used again
#include "runtime/api/stacks.h"

#include <gtest/gtest.h>
#include <string.h>

#include <set>
#include <vector>

namespace {

TEST(Stacks, AreDistinctAndUsedAgain) {
    oc::Stacks pool;
    pool.set_bytes(4 * oc::kPage);
    std::set<void*> seen;
    for (int i = 0; i < 100; i++) {
        void* low = pool.take();
        ASSERT_NE(low, nullptr);
        EXPECT_TRUE(seen.insert(low).second);
        memset(low, i, pool.bytes());
    }
    for (void* low : seen) pool.give(low);
    for (int i = 0; i < 100; i++) EXPECT_EQ(seen.count(pool.take()), 1u);
    EXPECT_EQ(seen.count(pool.take()), 0u);
}

TEST(StacksDeathTest, AGuardLiesBelow) {
    oc::Stacks pool;
    pool.set_bytes(2 * oc::kPage);
    pool.take();
    char* low = (char*)pool.take();
    EXPECT_DEATH(low[-1] = 1, "");
}

}  // namespace
