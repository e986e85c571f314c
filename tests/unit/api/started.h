// started.h - a test with the framework on plain threads
#pragma once
#include <gtest/gtest.h>

#include <ocrun/ocrun.hpp>

class Started : public testing::Test {
protected:
    void SetUp() override { start({}); }
    void TearDown() override { EXPECT_EQ(oc_stop(OC_FOREVER), 0); }
    static void start(oc_config c) {
        c.size = sizeof c;
        c.mode = OC_MODE_THREADS;
        if (!c.tasks_max) c.tasks_max = 64;
        c.stack_bytes = 2 << 20;  // ThreadSanitizer keeps its own data on stacks
        ASSERT_EQ(oc_init(&c), 0);
    }
    static oc_stats stats() {
        oc_stats s{};
        s.size = sizeof s;
        EXPECT_EQ(oc_get_stats(&s), 0);
        return s;
    }
};
