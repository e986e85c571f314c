// task.h - a task from its creation to its last handle
//
// States go forward only: ready -> running -> complete | cancelled | error, or ready -> cancelled. `lock` guards state changes that
// end the task, its waiters and the link to its carrier. Two references at the start: the handle's and the pool's.
#pragma once
#include <exception>

#include "ocrun/ocrun.h"
#include "runtime/api/local.h"
#include "runtime/api/thread.h"

namespace oc {

// One waiter on one task, on the waiter's stack.
struct WaitNode {
    WaitNode* next;
    std::atomic<WaitNode**> link;  // what points to this one; nullptr: not in a list
    Thread* thread;
};

struct Failure {
    std::exception_ptr exception;
    char text[232];
};

struct Task {
    oc_function function;
    void* argument;
    void (*ended)(void*);
    long priority;
    u64 id;
    Task* next = nullptr;         // in the queue
    Task* next_cancel = nullptr;  // among those whose cancellation is pending
    Carrier* carrier = nullptr;
    std::atomic<u32> references{2};
    std::atomic<u32> state{OC_READY};
    std::atomic<bool> cancel{false};
    std::atomic<bool> unwinding{false};  // its cancellation has begun
    bool cancel_listed = false;
    u32 cancel_tries = 0;
    Lock lock;
    int error = 0;
    void* value = nullptr;
    WaitNode* waiters = nullptr;
    Failure* failure = nullptr;
    Locals locals;
};

inline bool has_ended(const Task* t) { return t->state.load(std::memory_order_acquire) >= OC_COMPLETE; }
void task_release(Task* t);
// The end of a task. Lock held: wakes who joins. Afterwards, without it: task_ended.
void task_end_locked(Thread& me, Task* t, enum oc_state state, int error, void* value);
// Before the end of one that ran: its locals. After any end: its creator's callback.
void task_ended(Task* t);

// Of the calling thread in a task: state and events around a wait (listen.cc).
class Suspended {
public:
    explicit Suspended(Thread& me);
    ~Suspended();

private:
    Task* task_;
};

}  // namespace oc

// The public name is the same object.
struct oc_task : oc::Task {};
