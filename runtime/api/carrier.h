// carrier.h - a pooled thread that runs tasks one after another; under ocrun it is a coroutine
#pragma once
#include <pthread.h>
#include <setjmp.h>

#include "runtime/api/task.h"

namespace oc {

struct Carrier {
    Carrier* next = nullptr;  // among the idle or the dead
    Thread* thread = nullptr;
    pthread_t id{};
    long priority = 0;        // as the runtime was told
    int* errno_at = nullptr;
    void* stack = nullptr;    // lowest usable address; the alternate stack lies above
    jmp_buf base;             // where a fault in a task goes on
    // Under the pool's lock:
    bool searcher = false;    // was woken or made to look for a task
    std::atomic<bool> idle{false};
    Task* task = nullptr;     // that it took from the queue and has not settled: counts as under way, and is referenced
    Carrier* next_of_all = nullptr;
    Carrier** link_of_all = nullptr;
    bool leave = false;       // to end when idle
    std::atomic<bool> watched{false};  // somebody was told that `task` began: the janitor may look at it
    bool released = false;    // the reference to `task` went with its end
};

// A new thread that begins as a searcher: 0 or -errno.
int carrier_start(Thread& me, Carrier* c);
// Runs a task that has begun, to its end.
void carrier_run(Thread& me, Task* t);
// Sizes the stacks: once, before the first carrier.
void carriers_init(u64 stack_bytes);
// After the thread is gone: its stack goes back.
void carrier_free(Carrier* c);
// Handlers of the faults that end a task (fault.cc): 0 or -errno.
int fault_install();

}  // namespace oc
