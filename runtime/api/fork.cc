// fork.cc - see fork.h
#include "runtime/api/fork.h"

#include <pthread.h>

#include <atomic>

namespace oc {
namespace {

std::atomic<void (*)()> g_resets[8];  // one a file that has locks for the process
pthread_once_t g_once = PTHREAD_ONCE_INIT;

void child() {
    for (auto& reset : g_resets)
        if (auto f = reset.load(std::memory_order_acquire)) f();
}
void begin() { pthread_atfork(nullptr, nullptr, child); }

}  // namespace

void reset_in_child(void (*reset)()) {
    pthread_once(&g_once, begin);
    for (auto& place : g_resets) {
        void (*there)() = nullptr;
        if (place.compare_exchange_strong(there, reset, std::memory_order_acq_rel) || there == reset) return;
    }
}

}  // namespace oc
