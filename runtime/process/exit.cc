// exit.cc - the end of a thread and of the process (see process.h)
#include <asm/errno.h>
#include <linux/futex.h>

#include "runtime/base/memory.h"
#include "runtime/memory/trims.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/sched/observe.h"
#include "runtime/signal/pending.h"
#include "runtime/sync/futex.h"

namespace ocrun {

namespace {

// kernel/futex/core.c walks at most this many entries (ROBUST_LIST_LIMIT).
constexpr int kRobustLimit = 2048;

void wake_one(u64 address) {
    if (futex_in_kernel(address, 0))
        sys(__NR_futex, address, FUTEX_WAKE, 1);
    else
        futex_wake(address, 1, ~0u);
}

// The owner of a robust mutex dies: mark the word, wake one waiter. False on a bad address.
bool owner_died(Coroutine* c, u64 address, bool pi, bool pending, bool shared_only) {
    if (address & 3) return false;
    if (shared_only && !futex_is_shared(address, 0)) return true;
    u32 value;
    if (guest_load_u32((const u32*)address, &value)) return false;
    for (;;) {
        u32 owner = value & FUTEX_TID_MASK;
        if (pending && !pi && !value) {
            wake_one(address);
            return true;
        }
        if (owner != c->tid) return true;
        if (pi && g_multi) return futex_pi_owner_died(address);  // in multi mode no PI word is the kernel's, whatever the mapping
        u32 seen;
        if (guest_cas_u32((u32*)address, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &seen)) return false;
        if (seen == value) break;
        value = seen;
    }
    if (!pi && (value & FUTEX_WAITERS)) wake_one(address);
    return true;
}

void walk_robust_list(Coroutine* c, bool shared_only) {
    if (!c->robust_head) return;
    struct {
        u64 next;
        i64 offset;
        u64 pending;
    } head;
    if (copy_from_guest(&head, (void*)c->robust_head, sizeof head)) return;
    u64 pending = head.pending & ~1ul;
    u64 entry = head.next;
    for (int i = 0; i < kRobustLimit && (entry & ~1ul) != c->robust_head; i++) {
        u64 at = entry & ~1ul, next;
        bool bad_next = get_guest(&next, (void*)at) != 0;
        if (at != pending && !owner_died(c, at + u64(head.offset), entry & 1, false, shared_only)) return;
        if (bad_next) return;
        entry = next;
    }
    if (pending) owner_died(c, pending + u64(head.offset), head.pending & 1, true, shared_only);
}

void clear_tid(Coroutine* c) {
    if (c->clear_child_tid) {
        u32 zero = 0;
        if (put_guest((void*)c->clear_child_tid, zero) == 0) wake_one(c->clear_child_tid);
        c->clear_child_tid = 0;
    }
}

// `sig`: what killed it, 0: it ended with `code`.
[[noreturn]] void end_thread(Coroutine* c, int code, int sig) {
    walk_robust_list(c, false);
    c->robust_head = 0;
    observe_exit(c);
    registry_remove(c);
    signal_retarget(c, ~0ul);
    bool last;
    {
        Locked held(g_registry_lock);
        last = registry().empty();
    }
    // The process ends as its last thread does, whenever the leader went (kernel/exit.c, synchronize_group_exit; Linux 5.19).
    if (last) parent_death_forget();
    else if (!c->pinned) parent_death_thread_ends(c);
    if (last && sig) die_by_signal(sig);
    if (last)
        for (;;) sys(__NR_exit_group, code);
    {
        Locked held(g_signal_lock);
        timer_signals_settled(c->pending.bits);
        host_release_held(c->pending.bits);
        pending_clear(&c->pending);
    }
    if (c->trim_to) stack_trim_at_exit(c);  // before anybody can know that the stack is free
    guest_filters_release(c);
    clear_tid(c);  // late: who joins this thread may count on being alone
    exit_coroutine(c);
}

}  // namespace

void thread_exit(Coroutine* c, int code) {
    if (!g_multi) process_exit(c, code);
    end_thread(c, code, 0);
}

void thread_dies_with_process(Coroutine* c) {
    if (g_multi) walk_robust_list(c, true);
}

void thread_killed(Coroutine* c, int sig) { end_thread(c, 0, sig); }

void process_release_shared() {
    Locked held(g_registry_lock);
    for (Coroutine& x : registry()) walk_robust_list(&x, true);
}

void process_exit(Coroutine* c, int code) {
    if (!g_multi) {
        // Nobody is left to see clear_child_tid (kernel/fork.c, mm_release).
        walk_robust_list(c, false);
    } else {
        // Robust mutexes in shared memory outlive the process; every thread's list is walked, as the kernel would. Each is put
        // at the end of the registry first: the walk takes other locks, so no place in it can be kept.
        for (size_t left = registry().size(); left; left--) {
            Coroutine* next;
            {
                Locked held(g_registry_lock);
                if (registry().empty()) break;
                next = &registry().front();
                registry().splice(registry().end(), registry(), registry().begin());
            }
            walk_robust_list(next, false);
            next->robust_head = 0;
        }
    }
    parent_death_forget();
    for (;;) sys(__NR_exit_group, code);
}

}  // namespace ocrun
