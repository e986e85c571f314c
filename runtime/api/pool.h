// pool.h - the queue of tasks and the carriers that serve it
//
// A task waits in the queue until a carrier takes it: by priority, then in order. Carriers are found by succession: at any time at
// most one carrier, the searcher, was woken (or made) to look at the queue; who takes a task while others wait names the next
// searcher before it runs it. Under ocrun the searcher is a coroutine in a run queue: it gets its turn when the carrier before it
// waits, ends its task, or is preempted - so short tasks all run on one carrier, tasks that block get as many as they need up to
// tasks_max, and idle workers take the searcher over. On plain threads the kernel runs it at once.
#pragma once
#include "runtime/api/carrier.h"

namespace oc {

// 0 or -errno: -ENODEV not started, -ESHUTDOWN. Takes over one reference. May wait when the queue is full.
int pool_submit(Thread& me, Task* t);
// The life of a carrier: takes tasks and waits for them until it is to end. `me.wake_later` is unparked on the way.
void pool_work(Thread& me, Carrier* c);
// Around a carrier's life, on its thread.
void pool_carrier_begins(Carrier* c);
void pool_carrier_ends(Thread& me, Carrier* c);
// Ends a task that has not begun, as cancelled: false when it has.
bool pool_cancel_ready(Thread& me, Task* t);
// A cancelled task whose thread was poked: poke it again until it ends. Takes a reference.
void pool_cancel_pending(Task* t);


// oc_init's part once the settings are complete: 0 or -errno.
int pool_start(Thread& me, const oc_config& config);
bool pool_is_on();
// Somebody listens now: the janitor looks at tasks in system calls.
void pool_watch();

}  // namespace oc
