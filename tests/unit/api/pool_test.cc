// pool_test.cc - order, bounds and the end of the pool
#include <thread>

#include "tests/unit/api/started.h"

using namespace std::chrono_literals;

namespace {

using Pool = Started;

TEST_F(Pool, ManyThreadsCreateAndJoin) {
    std::atomic<long> sum{0};
    std::vector<std::jthread> threads;
    for (int k = 0; k < 8; k++)
        threads.emplace_back([&] {
            for (int i = 0; i < 500; i++) sum += ocrun::spawn([i] { return i; }).join();
        });
    threads.clear();
    EXPECT_EQ(sum, 8 * 500 * 499 / 2);
    EXPECT_EQ(stats().created, 4000u);
    EXPECT_LE(stats().most_pooled, 64u);
}

TEST_F(Pool, TasksThatCreateTasksNeverWaitForRoom) {
    TearDown();
    oc_config c{};
    c.tasks_max = 2;
    c.queue_max = 4;
    start(c);
    std::atomic<int> done{0};
    ocrun::spawn([&] {
        for (int i = 0; i < 100; i++) ocrun::spawn([&] { done++; }).detach();
    }).join();
    while (done != 100) std::this_thread::yield();
}

TEST_F(Pool, AnOrdinaryThreadWaitsForRoomInTheQueue) {
    TearDown();
    oc_config c{};
    c.tasks_max = 1;
    c.queue_max = 2;
    start(c);
    std::atomic<bool> go{false}, all{false};
    auto held = ocrun::spawn([&] {
        while (!go) ocrun::this_task::sleep_for(100us);
    });
    std::thread creates([&] {
        for (int i = 0; i < 20; i++) ocrun::spawn([] {}).detach();
        all = true;
    });
    std::this_thread::sleep_for(5ms);
    EXPECT_FALSE(all);
    EXPECT_LE(stats().queued, 2u);
    go = true;
    creates.join();
    held.join();
}

TEST_F(Pool, PrioritiesOfAllKindsComeInOrder) {
    TearDown();
    oc_config c{};
    c.tasks_max = 1;
    start(c);
    std::atomic<bool> go{false};
    auto held = ocrun::spawn([&] {
        while (!go) ocrun::this_task::sleep_for(100us);
    });
    while (held.state() == OC_READY) std::this_thread::yield();
    std::vector<long> order;
    std::vector<ocrun::task<>> tasks;
    for (long p : {3l, -1l, 0l, LONG_MAX, LONG_MIN, 0l, 3l, -1l}) tasks.push_back(ocrun::spawn(ocrun::options{p}, [&, p] { order.push_back(p); }));
    go = true;
    for (auto& t : tasks) t.join();
    EXPECT_EQ(order, (std::vector<long>{LONG_MIN, -1, -1, 0, 0, 3, 3, LONG_MAX}));
    held.join();
}

TEST_F(Pool, StopTimesOutAndThenEnds) {
    std::atomic<bool> go{false};
    auto held = ocrun::spawn([&] {
        while (!go) ocrun::this_task::sleep_for(100us);
    });
    while (held.state() == OC_READY) std::this_thread::yield();
    EXPECT_FALSE(ocrun::stop(1ms));
    EXPECT_THROW(ocrun::spawn([] {}), ocrun::error);
    go = true;
    EXPECT_TRUE(ocrun::stop());
    SetUp();
}

TEST_F(Pool, StartsAndStopsManyTimes) {
    for (int i = 0; i < 30; i++) {
        ocrun::spawn([] {}).join();
        TearDown();
        SetUp();
    }
}

}  // namespace
