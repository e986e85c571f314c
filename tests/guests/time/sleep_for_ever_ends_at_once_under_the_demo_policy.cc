// sleep_for_ever_ends_at_once_under_the_demo_policy.cc - sleeps for the largest duration; a policy that answers 0
// ends it.
// TEST: native=skip ocrun="-c ${ROOT}/config/examples/no-sleep.json" link=dynamic,static needs=policy
#include <chrono>
#include <thread>

#include "check.h"

int main() {
    say("before");
    std::this_thread::sleep_for(std::chrono::seconds(std::chrono::seconds::max().count() / 4));
    struct timespec t = {INT64_MAX, 999999999};
    CHECK_EQ(nanosleep(&t, nullptr), 0);
    CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, nullptr), 0);
    CHECK_EQ(sleep(~0u), 0u);
    say("after");
}
