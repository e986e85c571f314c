// consumer.cc - the same in C++
#include <iostream>
#include <ocrun/ocrun.hpp>

int main() {
    ocrun::init();
    long sum = 0;
    std::vector<ocrun::task<long>> tasks;
    for (long i = 0; i < 100; i++)
        tasks.push_back(ocrun::spawn([i] {
            ocrun::this_task::sleep_for(std::chrono::microseconds(100));
            return i * 2;
        }));
    for (auto& t : tasks) sum += t.join();
    oc_stats stats{};
    stats.size = sizeof stats;
    oc_get_stats(&stats);
    std::cout << "sum " << sum << ", under ocrun: " << stats.under_ocrun << std::endl;
    ocrun::stop();
}
