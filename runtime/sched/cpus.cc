// cpus.cc - see cpus.h
#include "runtime/sched/cpus.h"

#include "runtime/base/memory.h"
#include "runtime/sched/workers.h"

namespace ocrun {

namespace {

bool g_pin;
u64 g_allowed[kAffinityWords];
u32 g_allowed_count;

void one_of(u32 index, u64* mask) {
    memset(mask, 0, sizeof g_allowed);
    u32 left = index % g_allowed_count;
    for (u32 cpu = 0; cpu < kAffinityWords * 64; cpu++) {
        if (!(g_allowed[cpu / 64] >> cpu % 64 & 1) || left--) continue;
        mask[cpu / 64] = 1ul << cpu % 64;
        return;
    }
}

void bind(const u64* mask) { sys(__NR_sched_setaffinity, 0, sizeof g_allowed, mask); }

}  // namespace

void cpus_init(bool pin) {
    if (!pin || is_error(sys(__NR_sched_getaffinity, 0, sizeof g_allowed, g_allowed))) return;
    for (u64 word : g_allowed) g_allowed_count += u32(__builtin_popcountl(word));
    g_pin = g_allowed_count != 0;
}

void cpus_worker(KThread* t, u32 index) {
    if (!g_pin) return;
    u64 mask[kAffinityWords];
    one_of(index, mask);
    if (t->affinity_applied)
        memcpy(t->affinity, mask, sizeof mask);
    else
        bind(mask);
}

void cpus_other() {
    if (g_pin) bind(g_allowed);
}

void cpus_before_exec(const Coroutine* c) {
    if (g_pin && !c->affinity_set) bind(g_allowed);
}

void cpus_exec_failed() {
    KThread* t = this_thread();
    if (t->kind == ThreadKind::worker && !t->owner.load(std::memory_order_relaxed)) cpus_worker(t, u32(t->slot - g_worker_slots));
}

bool cpus_pinned() { return g_pin; }

const u64* cpus_allowed() {
    const KThread* t = this_thread();
    return g_pin ? g_allowed : t->affinity_applied ? t->affinity : nullptr;
}

}  // namespace ocrun
