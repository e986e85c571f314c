// the_cpp_interface_carries_what_c_cannot.cc - ocrun.hpp: callables, results, exceptions, chrono, scopes, stop tokens, locals
// TEST: libs=ocrun_shared std=c++20
#include <memory>
#include <ocrun/ocrun.hpp>
#include <string>

#include "api.h"

using namespace std::chrono_literals;

static int destroyed;
struct Counted {
    Counted() = default;
    Counted(Counted&& other) : counts(std::exchange(other.counts, false)) {}
    ~Counted() {
        if (counts) add(&destroyed, 1);
    }
    bool counts = true;
};

int main() {
    oc_config config = api_config();
    CHECK(ocrun::init(config));
    CHECK(!ocrun::init(config));

    auto moved = ocrun::spawn([p = std::make_unique<int>(5)](std::unique_ptr<int> q) { return std::make_unique<int>(*p + *q); }, std::make_unique<int>(3));
    CHECK_EQ(*moved.join(), 8);
    CHECK(!moved.valid());
    std::string text = "text";
    auto reference = ocrun::spawn([&]() -> std::string& { return text; });
    CHECK(&reference.join() == &text);
    ocrun::spawn([] {}).join();
    CHECK_EQ(ocrun::spawn(ocrun::options{.priority = -3}, [](int n) { return n; }, 4).join(), 4);

    auto throws = ocrun::spawn([]() -> int { throw std::out_of_range("far"); });
    try {
        throws.join();
        CHECK(0);
    } catch (const std::out_of_range& e) {
        CHECK(!strcmp(e.what(), "far"));
    }
    auto faults = ocrun::spawn([] { *(volatile int*)8 = 1; });
    try {
        faults.join();
        CHECK(0);
    } catch (const ocrun::fault& e) {
        CHECK(!strncmp(e.what(), "SIGSEGV", 7));
    }

    {
        auto sleeps = ocrun::spawn([c = Counted()] {
            Counted d;
            ocrun::this_task::sleep_for(std::chrono::hours(1));
        });
        CHECK(!sleeps.join_for(2ms));
        CHECK(!sleeps.wait_for(1ms));
        sleeps.cancel();
        try {
            sleeps.join();
            CHECK(0);
        } catch (const ocrun::cancelled&) {
        }
        CHECK_EQ(load(&destroyed), 2);
    }
    auto polite = ocrun::spawn([](std::stop_token stop, int n) {
        while (!stop.stop_requested()) ocrun::this_task::sleep_for(100us);
        return n;
    }, 6);
    CHECK(!polite.join_for(1ms));
    CHECK(polite.request_stop());
    auto result = polite.join_for(1h);
    CHECK(result && *result == 6);

    int done = 0;
    {
        ocrun::scope scope;
        for (int i = 0; i < 100; i++)
            scope.spawn([&](int n) {
                ocrun::this_task::sleep_for(1ms);
                add(&done, n);
            }, 2);
    }
    CHECK_EQ(done, 200);
    ocrun::scope failing;
    failing.spawn([] { throw std::runtime_error("first"); });
    failing.spawn([&] { add(&done, 1); });
    try {
        failing.join();
        CHECK(0);
    } catch (const std::runtime_error& e) {
        CHECK(!strcmp(e.what(), "first"));
    }
    CHECK_EQ(done, 201);
    {
        ocrun::scope endless;
        for (int i = 0; i < 10; i++) endless.spawn([](std::stop_token stop) { while (!stop.stop_requested()) ocrun::this_task::yield(); });
        for (int i = 0; i < 10; i++) endless.spawn([] { oc_sleep(OC_FOREVER); });
        endless.request_stop();
        endless.cancel();
    }

    // Whatever a member throws, and whoever cancels the owner: the others are waited for.
    std::atomic<int> members{0};
    try {
        ocrun::scope group;
        group.spawn([] { throw 6; });
        for (int i = 0; i < 5; i++)
            group.spawn([&] {
                oc_sleep(2 * MS);
                members++;
            });
        group.join();
        CHECK(0);
    } catch (int n) {
        CHECK_EQ(n, 6);
        CHECK_EQ(members.load(), 5);
    }
    for (bool joins : {false, true}) {
        std::atomic<bool> inside{false};
        members = 0;
        auto owner = ocrun::spawn([&] {
            std::atomic<int> here{0};
            ocrun::scope group;
            for (int i = 0; i < 5; i++)
                group.spawn([&] {
                    inside = true;
                    oc_sleep(20 * MS);
                    here++;
                    members = here.load();
                });
            if (joins) group.join();
        });
        WAIT_UNTIL(inside);
        owner.cancel();
        owner.wait();
        CHECK(owner.state() == OC_CANCELLED || owner.state() == OC_COMPLETE);
        if (owner.state() == OC_COMPLETE) CHECK_EQ(members.load(), 5);
        int then = members;
        oc_sleep(40 * MS);
        CHECK_EQ(members.load(), then);  // nobody is left behind
    }

    std::vector<ocrun::task<int>> race;
    for (int i = 0; i < 10; i++)
        race.push_back(ocrun::spawn([i] {
            if (i != 7) oc_sleep(OC_FOREVER);
            return i;
        }));
    CHECK_EQ(*ocrun::any_join(std::span(race)), 7);
    CHECK_EQ(race[7].join(), 7);
    race.erase(race.begin() + 7);
    CHECK(!ocrun::any_join(std::span(race), 1ms));
    for (auto& t : race) t.cancel();
    race.clear();

    ocrun::local<std::string> local;
    local.get() = "main";
    ocrun::spawn([&] {
        CHECK(local->empty());
        *local = "task";
        ocrun::this_task::yield();
        CHECK(*local == "task");
    }).join();
    CHECK(*local == "main");

    auto guarded = ocrun::spawn([] {
        ocrun::this_task::cancel_guard guard;
        while (!ocrun::this_task::cancel_requested()) ocrun::this_task::sleep_for(100us);
        return std::string("finished");
    });
    guarded.cancel();
    try {
        CHECK(guarded.join() == "finished");
    } catch (const ocrun::cancelled&) {  // it had not started
    }
    CHECK_EQ(ocrun::maybe_grow_stack([&] { return (int)text.size(); }, 1 << 20), 4);
    CHECK(&ocrun::maybe_grow_stack([&]() -> std::string& { return text; }, 1 << 20) == &text);
    try {
        ocrun::maybe_grow_stack([]() -> void { throw 5; }, 64 << 20);
        CHECK(0);
    } catch (int n) {
        CHECK_EQ(n, 5);
    }
    CHECK(ocrun::stop(1h));
    say("ok");
    return 0;
}
