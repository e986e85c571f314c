// observe.cc - the board, and what the hooks do while somebody looks (see observe.h, bpf/events.h)
//
// A kernel thread's record file is made at its first event, by the thread itself: nothing is made ready beforehand, and a
// view asks for records by writing oc_observe alone. The session's time limit is looked at with every 64th record of a thread: a
// view that died costs next to nothing.
#include "runtime/sched/observe.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/mirror.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/scheduler.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/workers.h"

extern "C" char __executable_start, etext;

namespace ocrun {

extern u32 g_pid;

extern "C" {
oc_control oc_observe;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
#define AT(field) u16(offsetof(Coroutine, field))
extern const oc_board oc_board_table;
const oc_board oc_board_table = {
    .magic = OC_BOARD_MAGIC,
    .abi = OC_ABI,
    .bytes = sizeof(oc_board),
    .text_begin = &__executable_start,
    .text_end = &etext,
    .control = &oc_observe,
    .pid = &g_pid,
    .multi = &g_multi,
    .preempt = &g_tick_max_ns,
    .monitor = &g_monitor_tid,
    .pool_chunks = &g_pool.chunks,
    .pool_chunk_count = &g_pool.chunk_count,
    .pool_fresh = &g_pool.fresh,
    .pool_slot_bytes = &g_pool.slot_bytes,
    .slots_per_chunk = kSlotsPerChunk,
    .workers = g_workers,
    .worker_count = &g_worker_count,
    .coroutine = {AT(regs), sizeof(Coroutine), AT(tid), AT(parent_tid), AT(registered), AT(direct), AT(name), AT(sched_state), AT(on),
                  AT(switches), AT(cpu_tsc), AT(cpu_base_ns), AT(queued_tsc), AT(parked_tsc), AT(call_nr), AT(waits_for),
                  AT(waits_detail), AT(parked_since_tsc), AT(timer_armed), AT(timer_deadline_ns), AT(mask), AT(pending)},
    .worker = {u16(sizeof(KThread)), u16(offsetof(KThread, tid)), u16(offsetof(KThread, current)), u16(offsetof(KThread, run_count)),
               u16(offsetof(KThread, switched_in_tsc)), u16(offsetof(KThread, calls)), {}},
};
static_assert(sizeof(KThread) <= 0xffff && sizeof(Coroutine) <= 0xffff);
#undef AT
#pragma GCC diagnostic pop
}

// The note by which a view finds the board; a PT_NOTE survives strip.
asm(R"(
.pushsection .note.ocrun,"a",@note
.balign 4
.long 6, 8, 1
.asciz "ocrun"
.balign 4
.quad oc_board_table
.popsection
)");

namespace {

Lock g_session_lock;
std::atomic<oc_session*> g_session{nullptr};
u32 g_session_generation;

constexpr size_t kSessionBytes = kPageBytes;
static_assert(sizeof(oc_record) <= OC_RING_OFFSET && sizeof(oc_session) <= kSessionBytes);

// A file of the session's directory, mapped shared; nullptr when it cannot be had. No signal, no descriptor stays.
void* map_file(const char* name, size_t bytes, bool make) {
    TextBuffer<OC_DIRECTORY_BYTES + 64> path;
    path.add(oc_observe.directory).add("/").add(name);
    long fd = sys(__NR_open, path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT | O_EXCL : 0), 0600);
    if (is_error(fd)) return nullptr;
    long r = make ? sys(__NR_ftruncate, fd, bytes) : 0;
    void* mapped = nullptr;
    if (!is_error(r)) {
        r = sys(__NR_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (!is_error(r)) mapped = (void*)r;
    }
    sys(__NR_close, fd);
    return mapped;
}

// The session in force, or nullptr: over, or not to be had.
oc_session* session(u64 tsc) {
    oc_session* s = g_session.load(std::memory_order_acquire);
    u32 generation = __atomic_load_n(&oc_observe.generation, __ATOMIC_RELAXED);
    if (__builtin_expect(!s || g_session_generation != generation, 0)) {
        if (!oc_observe.directory[0] || !g_session_lock.try_lock()) return nullptr;
        s = g_session.load(std::memory_order_relaxed);
        if (!s || g_session_generation != generation) {
            // The page of the session before stays mapped: another thread may be looking at it.
            s = (oc_session*)map_file("session", kSessionBytes, false);
            if (s && (s->magic != OC_SESSION_MAGIC || s->abi != OC_ABI)) {
                pages_free(s, kSessionBytes);
                s = nullptr;
            }
            g_session_generation = generation;
            oc_observe.since_tsc = tsc;
            g_session.store(s, std::memory_order_release);
        }
        g_session_lock.unlock();
        if (!s) {
            __atomic_and_fetch(&oc_observe.level, OC_LEVEL_MIRROR, __ATOMIC_RELAXED);
            __atomic_add_fetch(&oc_observe.refused, 1, __ATOMIC_RELAXED);
            return nullptr;
        }
    }
    if (__builtin_expect(tsc > __atomic_load_n(&s->until_tsc, __ATOMIC_RELAXED), 0)) {
        __atomic_and_fetch(&oc_observe.level, OC_LEVEL_MIRROR, __ATOMIC_RELAXED);
        return nullptr;
    }
    return s;
}

void drop_record(KThread* t) {
    if (t->record) pages_free(t->record, t->record_bytes);
    t->record = nullptr;
}

oc_record* make_record(KThread* t, oc_session* s) {
    if (t->record_refused) return nullptr;
    bool ring = s->level & OC_LEVEL_EVENTS;
    u32 events = ring ? s->ring_events : 0;
    constexpr u32 kFewestEvents = 1u << 10, kMostEvents = 1u << 20;
    if (ring && ((events & (events - 1)) || events < kFewestEvents || events > kMostEvents)) return nullptr;
    size_t bytes = OC_RING_OFFSET + size_t(events) * sizeof(oc_event);
    // Growing a file over RLIMIT_FSIZE would raise a signal.
    rlimit limit;
    oc_record* r = nullptr;
    u64 tsc = __builtin_ia32_rdtsc();
    if (!is_error(sys(__NR_prlimit64, 0, RLIMIT_FSIZE, nullptr, &limit)) && limit.rlim_cur >= bytes) {
        TextBuffer<64> name;
        name.dec(g_pid).add("-").dec(t->tid).add("-").dec(i64(tsc));
        r = (oc_record*)map_file(name.c_str(), bytes, true);
    }
    if (!r) {
        t->record_refused = true;
        __atomic_add_fetch(&s->refused, 1, __ATOMIC_RELAXED);
        return nullptr;
    }
    sys(__NR_madvise, r, bytes, MADV_DONTFORK);
    r->abi = OC_ABI;
    r->pid = g_pid;
    r->tid = t->tid;
    r->ring_events = events;
    r->start_tsc = tsc;
    sys(__NR_prctl, 16 /* PR_GET_NAME */, r->name);
    t->record = r;
    t->record_bytes = bytes;
    __atomic_store_n(&r->magic, OC_RECORD_MAGIC, __ATOMIC_RELEASE);
    __atomic_add_fetch(&s->records, 1, __ATOMIC_RELEASE);
    return r;
}

constexpr u32 kTrust = 64;

// The calling thread's record, or nullptr when nobody looks any more.
__attribute__((noinline, cold)) oc_record* record_anew(KThread* t, u64 tsc) {
    // A vfork child lives in its parent's memory for a moment; it is not shown.
    if (t->kind == ThreadKind::direct) return nullptr;
    oc_session* s = session(tsc);
    if (!s) return nullptr;
    if (__builtin_expect(t->record_generation != g_session_generation, 0)) {
        drop_record(t);
        t->record_generation = g_session_generation;
        t->record_refused = false;
    }
    t->record_trust = kTrust;
    return t->record ? t->record : make_record(t, s);
}

// Between two looks at the session it is three words of the thread's own: these hooks run with cold caches.
inline oc_record* record(KThread* t, u64 tsc) {
    u32 trust = t->record_trust;
    if (__builtin_expect(trust && t->record && t->record_generation == __atomic_load_n(&oc_observe.generation, __ATOMIC_RELAXED), 1)) {
        t->record_trust = trust - 1;
        return t->record;
    }
    return record_anew(t, tsc);
}

// With every quarter of a ring the view is called; on its first lap the memory of the next quarter is had in one go.
__attribute__((noinline, cold)) void ring_bell(oc_record* r, u64 head) {
    constexpr u64 kFutexWake = 1;
    u64 part = r->ring_events / OC_RINGS_IN_A_LAP;
    if (head < r->ring_events) {
        u64 from = (u64)r + OC_RING_OFFSET + head * sizeof(oc_event);
        sys(__NR_madvise, from & ~(kPageBytes - 1), part * sizeof(oc_event), MADV_POPULATE_WRITE);
    }
    if (oc_session* s = g_session.load(std::memory_order_relaxed)) {
        __atomic_add_fetch(&s->bell, 1, __ATOMIC_RELEASE);
        sys(__NR_futex, &s->bell, kFutexWake, 1);
    }
}

void put(oc_record* r, u64 tsc, u32 kind, u32 nr, u64 data) {
    u64 head = r->head;
    oc_event* e = (oc_event*)((u8*)r + OC_RING_OFFSET) + (head & (r->ring_events - 1));
    e->when = ((tsc - r->start_tsc) & ((1ul << OC_WHEN_BITS) - 1)) | u64(kind) << OC_WHEN_BITS | u64(nr) << (OC_WHEN_BITS + OC_KIND_BITS);
    e->data = data;
    __atomic_store_n(&r->head, ++head, __ATOMIC_RELEASE);
    if (__builtin_expect(!(head & (r->ring_events / OC_RINGS_IN_A_LAP - 1)), 0)) ring_bell(r, head);
}

// The next event is of this coroutine.
inline void own(oc_record* r, u64 tsc, u32 co) {
    if (__builtin_expect(r->owner == co, 1)) return;
    r->owner = co;
    put(r, tsc, OC_EV_OWNER, 0, co);
}

constexpr u64 ones(u32 bits) { return (1ul << bits) - 1; }
u64 pair(u32 low, u32 high) { return low | u64(high) << 32; }

u32 level() { return __atomic_load_n(&oc_observe.level, __ATOMIC_RELAXED); }

void count(u64* buckets, u64 ticks) { buckets[ticks ? 64 - __builtin_clzl(ticks) < 64 ? 64 - __builtin_clzl(ticks) : 63 : 0]++; }

}  // namespace

void observe_switch_slow(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc) {
    u32 wanted = level();
    if (wanted & OC_LEVEL_MIRROR) mirror_switch(t, from, why, to, tsc);
    oc_record* r = wanted & ~u32(OC_LEVEL_MIRROR) ? record(t, tsc) : nullptr;
    if (!r) return;
    if (wanted & OC_LEVEL_TIMES) {
        r->switches++;
        if (from) {
            count(r->on_cpu, tsc - t->switched_in_tsc);
            if (why == OC_WHY_YIELDED) from->ready_since_tsc = tsc;
        }
        if (to && to->ready_since_tsc) {
            u64 ready = to->ready_since_tsc, parked = to->parked_since_tsc;
            to->ready_since_tsc = 0;
            to->queued_tsc += tsc - ready;
            count(r->queued, tsc - ready);
            if (to->waits_for && ready > parked) {
                to->parked_tsc += ready - parked;
                count(r->parked, ready - parked);
            }
        }
    }
    if (!r->ring_events) return;
    r->owner = observed_tid(to);
    put(r, tsc, OC_EV_SWITCH, why, pair(observed_tid(to), observed_tid(from)));
}

void observe_park_slow(Coroutine* c) {
    u32 wanted = level();
    if (wanted & OC_LEVEL_MIRROR) mirror_park(c);
    if (!(wanted & OC_LEVEL_EVENTS)) return;
    u64 tsc = c->parked_since_tsc;
    oc_record* r = record(this_thread(), tsc);
    if (!r || !r->ring_events) return;
    own(r, tsc, c->tid);
    u64 since = c->call_since_tsc, ticks = since >= oc_observe.since_tsc && since < tsc ? tsc - since : 0, detail = c->waits_detail;
    u32 nr = c->call_nr & ones(OC_NR_BITS);
    if (__builtin_expect(ticks >= ones(32), 0)) {
        put(r, since, OC_EV_CALL, nr, c->regs.rdi);
        ticks = ones(32);
    }
    if (detail >= ones(32)) {
        put(r, tsc, OC_EV_WIDE, 0, detail);
        detail = ones(32);
    }
    put(r, tsc, OC_EV_PARK, nr, pair(u32(ticks), u32(detail)));
}

void observe_wake_slow(Coroutine* c, u32 reason) {
    u32 wanted = level();
    u64 tsc = __builtin_ia32_rdtsc();
    if (wanted & OC_LEVEL_MIRROR) mirror_wake(c, reason, tsc);
    oc_record* r = wanted & ~u32(OC_LEVEL_MIRROR) ? record(this_thread(), tsc) : nullptr;
    if (!r) return;
    if (wanted & OC_LEVEL_TIMES) c->ready_since_tsc = tsc;
    if (r->ring_events) put(r, tsc, OC_EV_WAKE, reason, pair(c->tid, observed_tid(this_coroutine())));
}

void observe_event_slow(u32 kind, Coroutine* c, u32 more) {
    u32 wanted = level();
    if (wanted & OC_LEVEL_MIRROR) mirror_event(kind, c, more);
    if (!(wanted & ~u32(OC_LEVEL_MIRROR))) return;
    u64 tsc = __builtin_ia32_rdtsc();
    oc_record* r = record(this_thread(), tsc);
    if (!r) return;
    if (kind == OC_EV_CREATE && (wanted & OC_LEVEL_TIMES)) c->ready_since_tsc = tsc;
    if (!r->ring_events) return;
    switch (kind) {
        case OC_EV_CREATE:
            u64 name[2];
            memcpy(name, c->name, sizeof name);
            put(r, tsc, kind, 0, pair(c->tid, more));
            put(r, tsc, OC_EV_NAME, 0, name[0]);
            if (name[1]) put(r, tsc, OC_EV_NAME, 1, name[1]);
            break;
        case OC_EV_KBLOCK: put(r, tsc, kind, more & ones(OC_NR_BITS), c->tid); break;
        default:
            own(r, tsc, c->tid);
            put(r, tsc, kind, 0, 0);
    }
}

void observe_call_slow(Coroutine* c, u32 nr) {
    u32 wanted = level();
    if (wanted & OC_LEVEL_MIRROR) mirror_call(c, nr);
    if (wanted & (OC_LEVEL_CALLS | OC_LEVEL_EVENTS)) c->call_since_tsc = __builtin_ia32_rdtsc();
}

void observe_return_slow(Coroutine* c, u32 nr, long result) {
    u32 wanted = level();
    if (wanted & OC_LEVEL_MIRROR) mirror_call(c, OC_NO_CALL);
    if (!(wanted & (OC_LEVEL_CALLS | OC_LEVEL_EVENTS))) return;
    u64 tsc = __builtin_ia32_rdtsc();
    oc_record* r = record(this_thread(), tsc);
    u64 begin = c->call_since_tsc;
    if (begin < oc_observe.since_tsc) begin = 0;
    c->call_since_tsc = 0;
    if (!r) return;
    if (nr < OC_CALLS && begin && (wanted & OC_LEVEL_CALLS)) {
        oc_call_count& n = r->calls[nr];
        n.calls++;
        n.errors += is_error(result);
        n.tsc += tsc - begin;
        if (tsc - begin > n.longest_tsc) n.longest_tsc = tsc - begin;
    }
    if (!r->ring_events) return;
    own(r, tsc, c->tid);
    constexpr u64 kTicksMask = ones(OC_RETURN_TICKS_BITS);
    constexpr i64 kNoResult = -(1l << (OC_RETURN_RESULT_BITS - 1)), kNoArgument = -(1l << (OC_RETURN_ARGUMENT_BITS - 1));
    u64 ticks = begin ? tsc - begin : kTicksMask;
    i64 argument = i64(c->regs.rdi);
    if (__builtin_expect(begin && ticks >= kTicksMask, 0)) {
        put(r, begin, OC_EV_CALL, nr & ones(OC_NR_BITS), c->regs.rdi);
        ticks = kTicksMask;
    }
    if (__builtin_expect(result <= kNoResult || result >= -kNoResult, 0)) {
        put(r, tsc, OC_EV_WIDE, 0, u64(result));
        result = kNoResult;
    }
    if (argument <= kNoArgument || argument >= -kNoArgument) argument = kNoArgument;
    put(r, tsc, OC_EV_RETURN, nr & ones(OC_NR_BITS),
        ticks | (u64(result) & ones(OC_RETURN_RESULT_BITS)) << OC_RETURN_TICKS_BITS |
            u64(argument) << (OC_RETURN_TICKS_BITS + OC_RETURN_RESULT_BITS));
}

void observe_begin(u32 level, const char* directory) {
    text_copy(oc_observe.directory, sizeof oc_observe.directory, directory);
    oc_observe.generation = 1;
    oc_observe.level = level;
}

void observe_after_fork() {
    KThread* t = this_thread();
    // The mapping stayed with the parent (MADV_DONTFORK).
    t->record = nullptr;
    t->record_trust = 0;
    t->record_refused = false;
    g_session_lock.reset();
    if (oc_observe.mirrored) mirror_after_fork();
}

void observe_thread_gone(KThread* t) { drop_record(t); }

}  // namespace ocrun
