// task_test.cc - handles, joins, locals and listeners under sanitizers; what every mode shares is in tests/guests/api
#include <thread>

#include "tests/unit/api/started.h"

using namespace std::chrono_literals;

namespace {

using Tasks = Started;

void* same(void* p) { return p; }

TEST_F(Tasks, AHandleMayBeDroppedBeforeDuringAndAfterTheTask) {
    for (int i = 0; i < 300; i++) {
        oc_task* t = oc_task_create(same, nullptr, 0);
        if (i % 3 == 1) std::this_thread::yield();
        if (i % 3 == 2) {
            EXPECT_EQ(oc_task_join(t, nullptr), 0);
        }
        oc_task_drop(t);
    }
}

TEST_F(Tasks, ManyThreadsJoinOneTaskWithAndWithoutTimeouts) {
    for (int round = 0; round < 20; round++) {
        oc_task* t = oc_task_create([](void* p) -> void* { oc_sleep(2000000); return p; }, this, 0);
        std::vector<std::jthread> joiners;
        for (int i = 0; i < 8; i++)
            joiners.emplace_back([&, i] {
                void* value = nullptr;
                if (i % 2) {
                    while (oc_task_timeout_join(t, 100000, &value) == -ETIMEDOUT) {
                    }
                } else {
                    EXPECT_EQ(oc_task_join(t, &value), 0);
                }
                EXPECT_EQ(value, this);
            });
        joiners.clear();
        oc_task_drop(t);
    }
}

TEST_F(Tasks, AnyJoinTakesMoreTasksThanFitItsStack) {
    std::vector<ocrun::task<int>> tasks;
    std::atomic<bool> go{false};
    for (int i = 0; i < 50; i++)
        tasks.push_back(ocrun::spawn([&, i] {
            while (i != 40 && !go) ocrun::this_task::sleep_for(1ms);
            return i;
        }));
    EXPECT_EQ(ocrun::any_join(std::span(tasks)), 40u);
    go = true;
    for (auto& t : tasks) t.join();
}

TEST_F(Tasks, EndedIsCalledOnceForEveryTask) {
    static std::atomic<int> ended;
    ended = 0;
    oc_task_attributes a{};
    a.size = sizeof a;
    a.ended = [](void*) { ended++; };
    std::vector<oc_task*> tasks;
    for (int i = 0; i < 200; i++) {
        tasks.push_back(oc_task_create_with([](void*) -> void* { oc_sleep(100000); return nullptr; }, nullptr, &a));
        if (i % 2) oc_task_cancel(tasks.back());
    }
    for (oc_task* t : tasks) {
        int r = oc_task_join(t, nullptr);
        EXPECT_TRUE(r == 0 || r == -ECANCELED);
        oc_task_drop(t);
    }
    EXPECT_EQ(ended, 200);
}

TEST_F(Tasks, ClosuresResultsAndExceptionsAreFreed) {
    auto counted = std::make_shared<int>(1);
    {
        auto kept = ocrun::spawn([counted] { return counted; });
        ocrun::spawn([counted] { return counted; }).detach();
        auto thrown = ocrun::spawn([counted]() -> int { throw counted; });
        EXPECT_THROW(thrown.join(), std::shared_ptr<int>);
        EXPECT_EQ(kept.join(), counted);
        auto never = ocrun::spawn([counted] { oc_sleep(OC_FOREVER); });
        never.cancel();
        EXPECT_THROW(never.join(), ocrun::cancelled);
    }
    ocrun::stop();
    EXPECT_EQ(counted.use_count(), 1);
    SetUp();
}

TEST_F(Tasks, LocalsAreDestroyedWithTaskAndThread) {
    static std::atomic<int> alive;
    struct Value {
        Value() { alive++; }
        ~Value() { alive--; }
    };
    ocrun::local<Value> local;
    ocrun::scope scope;
    for (int i = 0; i < 100; i++) scope.spawn([&] { local.get(); });
    scope.join();
    std::thread([&] { local.get(); }).join();
    EXPECT_EQ(alive, 0);
}

TEST_F(Tasks, SixteenListenersAndNoMore) {
    auto nothing = [](void*, const oc_event*) {};
    for (long i = 0; i < 16; i++) EXPECT_EQ(oc_listener_add(nothing, (void*)i), 0);
    EXPECT_EQ(oc_listener_add(nothing, nullptr), -EAGAIN);
    ocrun::spawn([] { oc_yield(); }).join();
    for (long i = 0; i < 16; i++) EXPECT_EQ(oc_listener_remove(nothing, (void*)i), 0);
}

TEST(Spans, BecomeNanosecondsWithoutOverflow) {
    EXPECT_EQ(ocrun::nanoseconds_of(3ms), 3000000u);
    EXPECT_EQ(ocrun::nanoseconds_of(-3ms), 0u);
    EXPECT_EQ(ocrun::nanoseconds_of(std::chrono::hours::max()), OC_FOREVER);
    EXPECT_EQ(ocrun::nanoseconds_of(std::chrono::duration<double>(0.5)), 500000000u);
}

}  // namespace
