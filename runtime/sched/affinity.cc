// affinity.cc - CPUs that a coroutine asked for, on workers that serve others too (see scheduler.h)
#include "runtime/base/memory.h"
#include "runtime/sched/scheduler.h"

namespace ocrun {

namespace {

void give_back(KThread* t) {
    sys(__NR_sched_setaffinity, 0, sizeof t->affinity, t->affinity);
    t->affinity_applied = false;
}

}  // namespace

void affinity_apply(const Coroutine* c) {
    KThread* t = this_thread();
    if (t->affinity_applied) {
        if (!memcmp(t->affinity_now, c->affinity, sizeof c->affinity)) return;
    } else if (is_error(sys(__NR_sched_getaffinity, 0, sizeof t->affinity, t->affinity))) {
        return;
    }
    t->affinity_applied = true;
    memcpy(t->affinity_now, c->affinity, sizeof c->affinity);
    sys(__NR_sched_setaffinity, 0, sizeof c->affinity, c->affinity);
}

void affinity_relax() {
    KThread* t = this_thread();
    if (__builtin_expect(!t->affinity_applied, 1)) return;
    const Coroutine* c = static_cast<Coroutine*>(t->current);
    if (!c || !c->affinity_set) give_back(t);
}

void affinity_exact(const Coroutine* c) {
    if (c->affinity_set)
        affinity_apply(c);
    else if (this_thread()->affinity_applied)
        give_back(this_thread());
}

}  // namespace ocrun
