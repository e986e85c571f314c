// permit.cc - see permit.h
#include "runtime/sched/permit.h"

namespace ocrun {

void leave_permit(Coroutine* c) {
    c->permit.store(1, std::memory_order_seq_cst);
    u64 word = c->wait_word.load(std::memory_order_seq_cst);
    if (parked_by_table(word)) wake(c, word, WakeReason::woken);
}

WakeReason park(Coroutine* c, u64 deadline_ns, const char* what) {
    c->wait_interruptible = true;
    if (c->permit.load(std::memory_order_relaxed)) {
        c->permit.exchange(0, std::memory_order_acq_rel);
        return WakeReason::woken;
    }
    announce_park(c);
    if (c->permit.load(std::memory_order_relaxed)) {
        c->permit.exchange(0, std::memory_order_acq_rel);
        // Unless somebody ended the wait already: who did will put c into a queue, and that has to be waited for.
        u64 word = c->wait_sequence << 8;
        if (c->wait_word.compare_exchange_strong(word, word | u64(WakeReason::woken), std::memory_order_acq_rel)) return WakeReason::woken;
    }
    return wait_park(c, deadline_ns, what, 0);
}

void pay(Coroutine* c) {
    if (Coroutine* whom = c->owed.exchange(nullptr, std::memory_order_acq_rel)) unpark(whom);
}

}  // namespace ocrun
