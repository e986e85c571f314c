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

// Two measurements, which agree.
constexpr u64 kFirst = 10000, kHalfWay = 50000000, kMeasured = 100000000;
void measure(TickClock* clock, const Machine& m) {
    for (u64 tick : {kFirst, kHalfWay, kMeasured}) read(clock, m, tick);
}

bool guesses(const TickClock& clock, u64 tick) {
    u64 least, most;
    return clock.guess(tick, &least, &most);
}

void expect_right(const TickClock& clock, const Machine& m, u64 tick) {
    u64 least, most;
    ASSERT_TRUE(clock.guess(tick, &least, &most)) << tick;
    EXPECT_LE(least, m.at(tick)) << tick;
    EXPECT_GE(most, m.at(tick)) << tick;
    EXPECT_LT(most - least, 1000u) << tick;
}

TEST(TickClock, KnowsNothingBeforeTwoMeasurementsAgree) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    EXPECT_FALSE(guesses(clock, 5000));
    read(&clock, m, 5000);
    EXPECT_FALSE(guesses(clock, 6000));
    read(&clock, m, 1000000);  // too soon after the first to measure by
    EXPECT_FALSE(guesses(clock, 1000500));
    read(&clock, m, 50000000);
    EXPECT_FALSE(guesses(clock, 50000500));
    read(&clock, m, 100000000);
    EXPECT_TRUE(guesses(clock, 100000500));
}

TEST(TickClock, BoundsHoldTheClockAndAreNarrow) {
    for (i64 ppm : {-500, 0, 500}) {
        TickClock clock;
        Machine even{1000, 5 * kSecond};
        measure(&clock, even);
        Machine slewed{kMeasured, even.at(kMeasured), ppm};
        read(&clock, slewed, kMeasured + 500);
        for (u64 past : {0ul, 1ul, 1000ul, 50000ul, 1000000ul}) expect_right(clock, slewed, kMeasured + 500 + past);
    }
}

TEST(TickClock, OldReadingsAndCountersThatWentBackAreNotTrusted) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    measure(&clock, m);
    EXPECT_TRUE(guesses(clock, kMeasured + 100));
    EXPECT_FALSE(guesses(clock, kMeasured + (2u << 20)));
    EXPECT_FALSE(guesses(clock, kMeasured - 1000000));
}

TEST(TickClock, AnInterruptedReadingSaysNothing) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    measure(&clock, m);
    clock.note(kMeasured + 1000, m.at(kMeasured + 1000), kMeasured + 900000);
    EXPECT_FALSE(guesses(clock, kMeasured + 900100));
    read(&clock, m, kMeasured + 901000);
    expect_right(clock, m, kMeasured + 902000);
}

TEST(TickClock, MeasuresAgainAndAgain) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    measure(&clock, m);
    for (u64 tick = kMeasured * 3 / 2; tick < 1u << 31; tick = tick * 3 / 2) {
        read(&clock, m, tick);
        expect_right(clock, m, tick + 900000);
    }
}

// Behind a jump, a sleep of the machine, another rate: no guess that is wrong, and in the end right ones again.
TEST(TickClock, BeginsAnewWhereTheClockLeftTheCounter) {
    const Machine before{1000, 500 * kSecond};
    const u64 now = before.at(kMeasured);
    const Machine after[] = {{kMeasured, now + 86400 * kSecond},  // another time namespace
                             {kMeasured, now - 300 * kSecond},
                             {kMeasured - 60 * kSecond, now - 24 * kSecond - 20 * kSecond},  // slept: the counter went on
                             {kMeasured, now, 90000}};                                        // slewed as fast as can be
    for (const Machine& m : after) {
        TickClock clock;
        measure(&clock, before);
        bool right = false;
        for (int i = 1; i < 40; i++) {
            u64 tick = kMeasured + u64(i) * 20000000;
            read(&clock, m, tick);
            u64 least, most;
            right = clock.guess(tick + 1000, &least, &most);
            if (!right) continue;
            EXPECT_LE(least, m.at(tick + 1000)) << i;
            EXPECT_GE(most, m.at(tick + 1000)) << i;
        }
        EXPECT_TRUE(right);
    }
}

TEST(TickClock, BeginsAnewWhereTheCounterDid) {
    TickClock clock;
    Machine m{1000, 5 * kSecond};
    measure(&clock, m);
    Machine later{500, m.at(kMeasured) + 3 * kSecond};
    for (u64 tick : {20000ul, 50000000ul, 100000000ul}) read(&clock, later, tick);
    expect_right(clock, later, 100000500);
}

}  // namespace
}  // namespace ocrun
