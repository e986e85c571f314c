// permit.cc - see permit.h
#include "runtime/sched/permit.h"

namespace ocrun {

void leave_permit(Coroutine* c) {
    c->permit.store(1, std::memory_order_seq_cst);
    u64 word = c->wait_word.load(std::memory_order_seq_cst);
    if (parked_by_table(word)) wake(c, word, WakeReason::woken);
}

void pay(Coroutine* c) {
    if (Coroutine* whom = c->owed.exchange(nullptr, std::memory_order_acq_rel)) unpark(whom);
}

}  // namespace ocrun
