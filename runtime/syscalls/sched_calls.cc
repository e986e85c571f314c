// sched_calls.cc - scheduling attributes of threads (sched_setscheduler(2), sched_setaffinity(2), setpriority(2) ...)
//
// A lone coroutine's attributes are its kernel thread's. With several, the worker is shared: each coroutine remembers what
// it asked for and is answered with it, while the worker keeps what it had.
#include <asm/errno.h>
#include <sched.h>
#include <sys/resource.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/sched/cpus.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

namespace {

// The coroutine a call is about, nullptr when the kernel has to answer (another process, or the process is single).
Coroutine* subject(const Call& call, u64 id) {
    if (!g_multi) return nullptr;
    if (i32(id) == 0) return call.c;
    Locked held(g_registry_lock);
    return registry_find(u32(id));
}

struct Attributes {
    i32 policy, priority;
};

Attributes attributes(const Coroutine* c) {
    if (c->sched_set) return {c->sched_policy, c->sched_priority};
    i32 priority = 0;
    long policy = sys(__NR_sched_getscheduler, 0);
    sys(__NR_sched_getparam, 0, &priority);
    return {i32(policy), priority};
}

// Checks as the kernel would by asking it, with the worker as the guinea pig for a moment.
long set_attributes(Coroutine* c, Attributes want) {
    if (want.priority < 0) return -EINVAL;
    i32 old_priority = 0;
    long old_policy = sys(__NR_sched_getscheduler, 0);
    sys(__NR_sched_getparam, 0, &old_priority);
    i32 priority = want.priority;
    long r = sys(__NR_sched_setscheduler, 0, want.policy, &priority);
    if (is_error(r)) return r;
    sys(__NR_sched_setscheduler, 0, old_policy, &old_priority);
    c->sched_set = true;
    c->sched_policy = want.policy;
    c->sched_priority = want.priority;
    return 0;
}

struct SchedAttr {
    u32 size, policy;
    u64 flags;
    i32 nice;
    u32 priority;
    u64 runtime, deadline, period;
};
static_assert(sizeof(SchedAttr) == 48);  // SCHED_ATTR_SIZE_VER0

i32 nice_of(const Coroutine* c) { return c->nice_set ? c->nice : i32(20 - sys(__NR_getpriority, PRIO_PROCESS, 0)); }

}  // namespace

void hand_attributes_to_kernel(Coroutine* c) {
    constexpr u32 kIoprioWhoProcess = 1;
    if (c->sched_set) sys(__NR_sched_setscheduler, 0, c->sched_policy, &c->sched_priority);
    if (c->nice_set) sys(__NR_setpriority, PRIO_PROCESS, 0, c->nice);
    if (c->ioprio_set) sys(__NR_ioprio_set, kIoprioWhoProcess, 0, c->ioprio);
    c->sched_set = c->nice_set = c->ioprio_set = false;
    if (cpus_pinned()) return;  // then its CPUs stay ours to know
    c->affinity_set = false;
    this_thread()->affinity_applied = false;
}

long h_sched_setscheduler(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    if (!c) return native(call);
    i32 priority;
    if (i32(call.a[0]) < 0 || i32(call.a[1]) < 0 || !call.a[2]) return -EINVAL;
    if (get_guest(&priority, (void*)call.a[2])) return -EFAULT;
    return set_attributes(c, {i32(call.a[1]), priority});
}

long h_sched_getscheduler(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    return c ? attributes(c).policy : native(call);
}

long h_sched_setparam(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    if (!c) return native(call);
    i32 priority;
    if (!call.a[1]) return -EINVAL;
    if (get_guest(&priority, (void*)call.a[1])) return -EFAULT;
    return set_attributes(c, {attributes(c).policy, priority});
}

long h_sched_getparam(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    if (!c) return native(call);
    if (!call.a[1]) return -EINVAL;
    return put_guest((void*)call.a[1], attributes(c).priority);
}

long h_sched_setattr(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    if (!c) return native(call);
    SchedAttr a{};
    if (!call.a[1] || call.a[2]) return -EINVAL;
    if (get_guest(&a, (void*)call.a[1])) return -EFAULT;
    constexpr u32 kDeadlinePolicy = 6;
    if (a.policy == kDeadlinePolicy) return -EPERM;
    long r = set_attributes(c, {i32(a.policy), i32(a.priority)});
    if (!r) {
        c->nice_set = true;
        c->nice = a.nice;
    }
    return r;
}

long h_sched_getattr(Call& call) {
    Coroutine* c = subject(call, call.a[0]);
    if (!c) return native(call);
    if (!call.a[1] || u32(call.a[2]) < sizeof(SchedAttr) || call.a[3]) return -EINVAL;
    Attributes now = attributes(c);
    SchedAttr a{};
    a.size = sizeof a;
    a.policy = u32(now.policy);
    a.priority = u32(now.priority);
    a.nice = nice_of(c);
    return put_guest((void*)call.a[1], a);
}

long h_sched_rr_get_interval(Call& call) {
    if (subject(call, call.a[0])) call.a[0] = 0;
    return native(call);
}

// A lone thread's CPUs are the kernel's to know, unless its worker is pinned.
Coroutine* affinity_subject(const Call& call) {
    if (!g_multi && cpus_allowed() && (i32(call.a[0]) == 0 || u32(call.a[0]) == call.c->tid)) return call.c;
    return subject(call, call.a[0]);
}

long h_sched_setaffinity(Call& call) {
    Coroutine* c = affinity_subject(call);
    if (!c) return native(call);
    u64 mask[16] = {}, allowed[16] = {};
    size_t n = call.a[1] < sizeof mask ? call.a[1] : sizeof mask;
    if (copy_from_guest(mask, (void*)call.a[2], n)) return -EFAULT;
    // What the process may use: the worker's own CPUs, not those it took on for a coroutine.
    const u64* own = cpus_allowed();
    long r = 0;
    if (own)
        memcpy(allowed, own, sizeof allowed);
    else
        r = sys(__NR_sched_getaffinity, 0, sizeof allowed, allowed);
    if (is_error(r)) return r;
    u64 any = 0;
    for (int i = 0; i < 16; i++) any |= mask[i] &= allowed[i];
    if (!any) return -EINVAL;
    memcpy(c->affinity, mask, sizeof mask);
    // Who asks for all of them lets a pinned worker be.
    c->affinity_set = !cpus_pinned() || memcmp(mask, allowed, sizeof mask) != 0;
    if (c == call.c) affinity_exact(c);
    return 0;
}

long h_sched_getaffinity(Call& call) {
    Coroutine* c = affinity_subject(call);
    if (!c) return native(call);
    const u64* own = cpus_allowed();
    if (!c->affinity_set && !own) {
        call.a[0] = 0;
        return native(call);
    }
    // The size check and the length are the kernel's; only the bits are ours.
    u64 bits[16] = {};
    long n = sys(__NR_sched_getaffinity, 0, call.a[1] < sizeof bits ? call.a[1] : sizeof bits, bits);
    if (is_error(n)) return n;
    return copy_to_guest((void*)call.a[2], c->affinity_set ? c->affinity : own, size_t(n)) ? -EFAULT : n;
}

long h_sched_yield(Call& call) {
    if (!g_multi) return native(call);
    yield_now(call.c);
    return 0;
}

long h_setpriority(Call& call) {
    Coroutine* c = call.a[0] == PRIO_PROCESS ? subject(call, call.a[1]) : nullptr;
    if (!c) return native(call);
    i32 want = i32(call.a[2]);
    want = want < -20 ? -20 : want > 19 ? 19 : want;
    if (want < nice_of(c) && sys(__NR_geteuid) != 0) return -EACCES;
    c->nice_set = true;
    c->nice = want;
    return 0;
}

long h_getpriority(Call& call) {
    Coroutine* c = call.a[0] == PRIO_PROCESS ? subject(call, call.a[1]) : nullptr;
    return c ? 20 - nice_of(c) : native(call);
}

}  // namespace ocrun
