// futex_waiter.h - a place in the queue of a futex (sync/futex_table.h)
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

struct Bucket;
struct Coroutine;

struct Waiter {
    Waiter *previous, *next;
    Bucket* bucket;  // nullptr: not queued; changes under the locks of both buckets (requeue)
    u64 address;
    u32 bitset;
    bool woken;
    bool is_pi;     // waits for a PI lock
    u64 pi_target;  // the PI word that a requeue moves it to, 0: not a waiter of that kind
    Coroutine* c;
    u64 token;
};

}  // namespace ocrun
