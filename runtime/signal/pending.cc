// pending.cc - queues of siginfo (see pending.h)
#include "runtime/signal/pending.h"

#include "runtime/base/memory.h"

namespace ocrun {

namespace {

constexpr size_t kNodesPerBlock = 64;
SignalNode* g_free;

SignalNode* node_alloc() {
    if (!g_free) {
        SignalNode* block = (SignalNode*)pages_alloc(kNodesPerBlock * sizeof(SignalNode));
        if (!block) return nullptr;
        for (size_t i = 0; i < kNodesPerBlock; i++) {
            block[i].next = g_free;
            g_free = &block[i];
        }
    }
    SignalNode* node = g_free;
    g_free = node->next;
    return node;
}

void node_free(SignalNode* node) {
    node->next = g_free;
    g_free = node;
}

}  // namespace

void pending_add(PendingSignals* set, const siginfo_t& info) {
    int sig = info.si_signo;
    if (info.si_code == SI_TIMER && (set->bits & signal_bit(sig))) {
        // A timer has one place in the queue; further expirations only count.
        for (SignalNode* n = set->head; n; n = n->next)
            if (n->info.si_signo == sig && n->info.si_code == SI_TIMER && timer_signal_merged(&n->info, info)) return;
    }
    // A timer brings its own place in the queue: as the kernel's posixtimer_send_sigqueue it takes it though another is there.
    if (sig < kFirstRealtime && info.si_code != SI_TIMER && (set->bits & signal_bit(sig))) return;
    SignalNode* node = node_alloc();
    set->bits |= signal_bit(sig);
    if (!node) return;  // as the kernel when the queue is full: the bit stays, the details are lost
    node->next = nullptr;
    node->info = info;
    if (set->tail)
        set->tail->next = node;
    else
        set->head = node;
    set->tail = node;
}

bool pending_take(PendingSignals* set, int sig, siginfo_t* out) {
    if (!(set->bits & signal_bit(sig))) return false;
    memset(out, 0, sizeof *out);
    out->si_signo = sig;
    bool found = false, more = false;
    SignalNode* previous = nullptr;
    for (SignalNode *n = set->head, *next; n; n = next) {
        next = n->next;
        if (n->info.si_signo == sig) {
            if (found) {
                more = true;
                break;
            }
            found = true;
            *out = n->info;
            (previous ? previous->next : set->head) = next;
            if (set->tail == n) set->tail = previous;
            node_free(n);
            continue;
        }
        previous = n;
    }
    if (!more) set->bits &= ~signal_bit(sig);
    return true;
}

void pending_remove(PendingSignals* set, u64 signals) {
    siginfo_t dropped;
    for (u64 left = set->bits & signals; left; left &= left - 1) {
        int sig = __builtin_ctzl(left) + 1;
        while (pending_take(set, sig, &dropped)) {
        }
    }
}

void pending_clear(PendingSignals* set) { pending_remove(set, ~0ul); }


}  // namespace ocrun
