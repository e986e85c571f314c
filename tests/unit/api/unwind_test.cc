// unwind_test.cc - exceptions through segments, and cancellation where sanitizers can follow it
#include <thread>

#include "tests/unit/api/started.h"

// A cancelled task's thread leaves the signal's handler by unwinding and ends; ThreadSanitizer takes the rest of it for the handler.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() { return "signal:free_spares\n"; }

namespace {

using Unwind = Started;

struct Counted {
    explicit Counted(std::atomic<int>& n) : count(n) {}
    ~Counted() { count++; }
    std::atomic<int>& count;
};

int descend(int left, std::atomic<int>& n) {
    Counted c(n);
    if (!left) throw std::runtime_error("bottom");
    return ocrun::maybe_grow_stack([&] { return descend(left - 1, n); }, 1 << 20) + 1;
}

TEST_F(Unwind, ExceptionsCrossSegments) {
    std::atomic<int> n{0};
    EXPECT_THROW(descend(10, n), std::runtime_error);
    EXPECT_EQ(n, 11);
    auto t = ocrun::spawn([&] { return descend(10, n); });
    EXPECT_THROW(t.join(), std::runtime_error);
    EXPECT_EQ(n, 22);
}

TEST_F(Unwind, CancelledTasksDestroyTheirObjects) {
    std::atomic<int> n{0}, begun{0};
    std::vector<ocrun::task<>> tasks;
    for (int i = 0; i < 20; i++)
        tasks.push_back(ocrun::spawn([&, i] {
            Counted a(n);
            begun++;
            if (i % 2)
                oc_sleep(OC_FOREVER);
            else
                std::this_thread::sleep_for(std::chrono::hours(1));
        }));
    while (begun != 20) std::this_thread::yield();
    for (auto& t : tasks) t.cancel();
    for (auto& t : tasks) EXPECT_THROW(t.join(), ocrun::cancelled);
    EXPECT_EQ(n, 20);
}

}  // namespace
