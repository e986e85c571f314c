// fiber.cc - Boost.Fiber's peers of pingpong.c and create.c: two fibers and a condition variable; a fiber started and joined
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdio>

template <class Body>
static double per_call(Body body) {
    body(10);
    for (long n = 100;; n *= 4) {
        auto begin = std::chrono::steady_clock::now();
        body(n);
        double took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
        if (took > 2e8) return took / double(n);
    }
}

int main() {
    boost::fibers::mutex mutex;
    boost::fibers::condition_variable cond;
    int turn = 0;
    auto take_turns = [&](int me, long rounds) {
        std::unique_lock lock(mutex);
        for (long i = 0; i < rounds; i++) {
            cond.wait(lock, [&] { return turn == me; });
            turn = !me;
            cond.notify_one();
        }
    };
    double switches = per_call([&](long n) {
        turn = 0;
        boost::fibers::fiber other(take_turns, 1, n);
        take_turns(0, n);
        other.join();
    });
    printf("cond_switch %.2f ns\n", switches / 2);
    double create = per_call([&](long n) {
        while (n--) boost::fibers::fiber([] {}).join();
    });
    printf("create_join %.2f ns\n", create);
}
