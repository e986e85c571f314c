// async.cc - std::async's peer of api.c: a function that does nothing, started and waited for
#include <chrono>
#include <cstdio>
#include <future>

int main() {
    auto begin = std::chrono::steady_clock::now();
    long n = 0;
    double took = 0;
    for (; took < 2e8; took = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count(), n++)
        std::async(std::launch::async, [] {}).get();
    printf("create_join %.2f ns\n", took / double(n));
}
