// ranked.h - the coroutines in a worker's queue whose priority is not 0: the smaller the sooner, equal ones in order
//
// Priority 0, which all but tasks of libocrun have, keeps the plain list in KThread and pays one look at `empty`. So that nobody
// starves, every kFairTurn-th choice while somebody is ranked goes to the one that came first, in turns among the ranked and
// the rest. Guarded by the worker's run_lock, except `empty`.
#pragma once
#include "runtime/context/coroutine.h"

namespace ocrun {

struct Ranked {
    static constexpr u32 kFairTurn = 16;

    bool empty() const { return !count_.load(std::memory_order_relaxed); }
    void push(Coroutine* c) {
        order_.insert(*c);
        arrived_.push_back(*c);
        count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    // Not when empty.
    i64 first_priority() { return order_.begin()->priority; }
    Coroutine* pop_first() { return take(*order_.begin()); }
    Coroutine* pop_oldest() { return take(arrived_.front()); }
    u32 turn() { return ++turns_; }

private:
    Coroutine* take(Coroutine& c) {
        order_.erase(order_.iterator_to(c));
        arrived_.erase(arrived_.iterator_to(c));
        count_.store(count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        return &c;
    }

    struct Sooner {
        bool operator()(const Coroutine& a, const Coroutine& b) const { return a.priority < b.priority; }
    };
    boost::intrusive::multiset<Coroutine, boost::intrusive::member_hook<Coroutine, SetHook, &Coroutine::rank_hook>,
                               boost::intrusive::compare<Sooner>, boost::intrusive::constant_time_size<false>>
        order_;
    boost::intrusive::list<Coroutine, boost::intrusive::member_hook<Coroutine, ListHook, &Coroutine::arrival_hook>,
                           boost::intrusive::constant_time_size<false>>
        arrived_;
    std::atomic<u32> count_{0};
    u32 turns_ = 0;
};

}  // namespace ocrun
