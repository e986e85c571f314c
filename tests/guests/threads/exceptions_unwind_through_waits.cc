// exceptions_unwind_through_waits.cc - 200 threads throw and catch around waits; cancellation unwinds C++ frames too.
#include <stdexcept>
#include <string>

#include "check.h"

static int destroyed;
struct Counted {
    ~Counted() { __atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST); }
};

static void deep(int n) {
    Counted c;
    if (n == 0) {
        sleep_ms(1);
        throw std::runtime_error("bottom");
    }
    deep(n - 1);
    sched_yield();
}

static void* work(void*) {
    for (int i = 0; i < 5; i++) {
        try {
            deep(10);
        } catch (const std::exception& e) {
            CHECK(std::string(e.what()) == "bottom");
        }
    }
    return nullptr;
}

static void* cancelled(void*) {
    Counted c;
    sleep(1000);
    return nullptr;
}

int main() {
    pthread_t t[200];
    for (auto& x : t) x = start(work, nullptr);
    for (auto& x : t) finish(x);
    say("destroyed %d", destroyed);
    destroyed = 0;
    for (int i = 0; i < 20; i++) t[i] = start(cancelled, nullptr);
    settle();
    for (int i = 0; i < 20; i++) pthread_cancel(t[i]);
    for (int i = 0; i < 20; i++) CHECK(finish(t[i]) == PTHREAD_CANCELED);
    CHECK(destroyed <= 20);  // a thread cancelled before it began has nothing to destroy
    say("ok");
}
