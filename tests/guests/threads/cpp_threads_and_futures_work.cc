// cpp_threads_and_futures_work.cc - the C++20 library: jthread, stop_token, latch, barrier, semaphore, future,
// atomic wait.
// TEST: std=c++20
#include <atomic>
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "check.h"

using namespace std::chrono_literals;

int main() {
    {  // futures carry values and exceptions
        std::vector<std::future<long>> sums;
        for (int i = 0; i < 50; i++)
            sums.push_back(std::async(std::launch::async, [i] {
                std::vector<long> v(1000);
                std::iota(v.begin(), v.end(), i);
                std::this_thread::sleep_for(1ms);
                return std::accumulate(v.begin(), v.end(), 0L);
            }));
        long total = 0;
        for (auto& s : sums) total += s.get();
        say("async %ld", total);
        auto bad = std::async(std::launch::async, []() -> int { throw std::runtime_error("as expected"); });
        try {
            bad.get();
            CHECK(false);
        } catch (const std::runtime_error& e) {
            say("exception %s", e.what());
        }
        std::promise<int> never;
        CHECK(never.get_future().wait_for(30ms) == std::future_status::timeout);
    }
    {  // stop tokens wake a condition_variable_any
        std::mutex m;
        std::condition_variable_any cv;
        std::jthread t([&](std::stop_token stop) {
            std::unique_lock lock(m);
            CHECK(!cv.wait(lock, stop, [] { return false; }));
        });
        std::this_thread::sleep_for(20ms);
        t.request_stop();
        t.join();
        say("stopped");
    }
    {  // latch, barrier, counting_semaphore
        std::latch all(40);
        std::counting_semaphore<3> few(3);
        std::atomic<int> inside = 0, completions = 0;
        std::barrier round(40, [&]() noexcept { completions++; });
        std::vector<std::jthread> threads;
        for (int i = 0; i < 40; i++)
            threads.emplace_back([&] {
                all.arrive_and_wait();
                few.acquire();
                CHECK(++inside <= 3);
                std::this_thread::yield();
                inside--;
                few.release();
                for (int r = 0; r < 5; r++) round.arrive_and_wait();
            });
        threads.clear();
        say("completions %d", completions.load());
    }
    {  // atomic wait and notify, shared_mutex, timed_mutex, call_once
        std::atomic<int> value = 0;
        std::jthread t([&] {
            for (int i = 0; i < 100; i++) {
                value.wait(i * 2);
                value = i * 2 + 2;
                value.notify_one();
            }
        });
        for (int i = 0; i < 100; i++) {
            value = i * 2 + 1;
            value.notify_one();
            for (int now; (now = value.load()) < i * 2 + 2;) value.wait(now);
        }
        t.join();
        say("value %d", value.load());
        std::timed_mutex timed;
        timed.lock();
        std::jthread([&] { CHECK(!timed.try_lock_for(30ms)); }).join();
        timed.unlock();
        std::shared_mutex shared;
        std::shared_lock a(shared), b(shared);
        CHECK(!shared.try_lock());
        std::once_flag once;
        std::atomic<int> calls = 0;
        std::vector<std::jthread> threads;
        for (int i = 0; i < 50; i++) threads.emplace_back([&] { std::call_once(once, [&] { calls++; }); });
        threads.clear();
        say("calls %d", calls.load());
    }
}
