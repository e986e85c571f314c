// tick_clock_test.cc - a clock guessed from the time-stamp counter
#include "runtime/base/tick_clock.h"

#include <gtest/gtest.h>

namespace ocrun {
namespace {

constexpr u64 kSecond = 1000000000;

// A clock at 0.4 ns a tick that runs `ppm` fast, from tick `begin` on.
struct Machine {
    u64 begin, ns0;
    i64 ppm = 0;
    u64 at(u64 tick) const { return ns0 + u64((unsigned __int128)(tick - begin) * 4 * u64(1000000 + ppm) / 10 / 1000000); }
};

void read(TickClock* clock, const Machine& m, u64 tick) { clock->note(tick - 200, m.at(tick - 50), tick); }

TEST(TickClock, KnowsNothingBeforeTheLengthOfATickIsMeasured) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    u64 least, most;
    EXPECT_FALSE(clock.guess(5000, &least, &most));
    read(&clock, m, 5000);
    EXPECT_FALSE(clock.guess(6000, &least, &most));
    read(&clock, m, 1000000);  // too soon after the first to measure by
    EXPECT_FALSE(clock.guess(1000500, &least, &most));
}

TEST(TickClock, BoundsHoldTheClockAndAreNarrow) {
    for (i64 ppm : {-500, 0, 500}) {
        TickClock clock;
        Machine even{1000, 5 * kSecond};
        read(&clock, even, 10000);
        read(&clock, even, 50000000);
        Machine slewed{50000000, even.at(50000000), ppm};
        read(&clock, slewed, 50000500);
        for (u64 past : {0ul, 1ul, 1000ul, 50000ul, 1000000ul}) {
            u64 least, most, tick = 50000500 + past;
            ASSERT_TRUE(clock.guess(tick, &least, &most));
            EXPECT_LE(least, slewed.at(tick)) << past << " ticks on, " << ppm << " ppm";
            EXPECT_GE(most, slewed.at(tick)) << past << " ticks on, " << ppm << " ppm";
            EXPECT_LT(most - least, 1000u);
        }
    }
}

TEST(TickClock, OldReadingsAndCountersThatWentBackAreNotTrusted) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    read(&clock, m, 10000);
    read(&clock, m, 50000000);
    u64 least, most;
    EXPECT_TRUE(clock.guess(50000100, &least, &most));
    EXPECT_FALSE(clock.guess(50000000 + (2u << 20), &least, &most));
    EXPECT_FALSE(clock.guess(49000000, &least, &most));
}

TEST(TickClock, AnInterruptedReadingIsNotMeasuredBy) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    clock.note(10000, m.at(10000), 10000000);  // interrupted behind the reading: 4 ms late
    read(&clock, m, 10000200);
    read(&clock, m, 50000000);
    u64 least, most;
    ASSERT_TRUE(clock.guess(50500000, &least, &most));
    EXPECT_LE(least, m.at(50500000));
    EXPECT_GE(most, m.at(50500000));
    EXPECT_LT(most - least, 1000u);
}

TEST(TickClock, MeasuresOverLongerTimes) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    read(&clock, m, 10000);
    for (u64 tick = 40000000; tick < 1u << 30; tick = tick * 3 / 2) {
        read(&clock, m, tick);
        u64 least, most;
        ASSERT_TRUE(clock.guess(tick + 900000, &least, &most));
        EXPECT_LE(least, m.at(tick + 900000));
        EXPECT_GE(most, m.at(tick + 900000));
    }
}

}  // namespace
}  // namespace ocrun
