// mirror.cc - see mirror.h
#include "runtime/sched/mirror.h"

#include <asm/errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/scheduler.h"
#include "runtime/sched/workers.h"

namespace ocrun {

extern u32 g_pid;

namespace {

constexpr u32 kMostRows = 65536;
static_assert(sizeof(oc_worker_slot) == 128 && sizeof(oc_coroutine_row) == 128 && sizeof(oc_ring_row) == 40 && sizeof(oc_hist_row) == 24);

Lock g_attend_lock;
struct SharedMap {
    void* at;
    size_t bytes;
};
SharedMap g_maps[OC_MAPS];  // that of workers lies over g_worker_slots
oc_coroutine_row* g_rows;
u32 g_row_count;
oc_ring_row* g_rings;
u32 g_ring_workers;
OC_APART std::atomic<u64> g_used[kMostRows / 64];  // one bit a row
u64 g_tsc0, g_ns0, g_rate;                // 32.32 nanoseconds a tick

u64 ticks_to_ns(u64 ticks) { return u64((unsigned __int128)ticks * g_rate >> 32); }
u64 moment_ns(u64 tsc) { return g_ns0 + ticks_to_ns(tsc - g_tsc0); }

oc_coroutine_row* take_row() {
    for (u32 word = 0; word * 64 < g_row_count; word++) {
        u64 used = g_used[word].load(std::memory_order_relaxed);
        while (~used) {
            u32 bit = u32(__builtin_ctzl(~used));
            if (word * 64 + bit >= g_row_count) break;
            if (g_used[word].compare_exchange_weak(used, used | 1ul << bit, std::memory_order_acquire)) return &g_rows[word * 64 + bit];
        }
    }
    __atomic_add_fetch(&oc_observe.rows_wanting, 1, __ATOMIC_RELAXED);
    return nullptr;
}

void give_back(oc_coroutine_row* row) {
    u32 at = u32(row - g_rows);
    memset(row, 0, sizeof *row);
    g_used[at / 64].fetch_and(~(1ul << at % 64), std::memory_order_release);
}

// Helpers have no slot and no ring.
void put(u32 kind, u64 tsc, u32 co, u32 other, u32 call, u64 detail) {
    KThread* t = this_thread();
    u64 worker = t->slot ? u64(t->slot - g_worker_slots) : g_ring_workers;
    if (!g_rings || worker >= g_ring_workers) return;
    u64 seq = t->slot->events;
    oc_ring_row* row = g_rings + worker * OC_RING_ROWS + seq % OC_RING_ROWS;
    *row = {moment_ns(tsc), kind, u32(seq), t->tid, co, other, call, detail};
    t->slot->events = seq + 1;
}

void count(oc_map which, u64 ns) {
    auto* rows = (oc_hist_row*)g_maps[which].at;
    if (!rows) return;
    u32 at = ns ? 64 - u32(__builtin_clzl(ns)) : 0;
    __atomic_add_fetch(&rows[at < OC_HIST_ROWS ? at : OC_HIST_ROWS - 1].count, 1, __ATOMIC_RELAXED);
}

void park_row(Coroutine* c) {
    oc_coroutine_row* row = c->row;
    row->state = PARKED;
    row->since_ns = moment_ns(c->parked_since_tsc);
    row->call = c->call_nr;
    row->wait_detail = c->waits_detail;
    row->rip = c->regs.rip;
    row->rsp = c->regs.rsp;
    row->rbp = c->regs.rbp;
    text_copy(row->waits_for, sizeof row->waits_for, c->waits_for);
}

void begin_row(Coroutine* c, u64 tsc) {
    oc_coroutine_row* row = c->row = take_row();
    if (!row) return;
    row->parent = c->parent_tid;
    row->call = c->call_nr;
    row->switches = c->switches;
    row->oncpu_ns = ticks_to_ns(c->cpu_tsc);
    row->runq_ns = ticks_to_ns(c->queued_tsc);
    row->parked_ns = ticks_to_ns(c->parked_tsc);
    memcpy(row->comm, c->name, sizeof row->comm);
    if (c->on.load(std::memory_order_relaxed)) {
        row->state = RUNNING;
    } else if (c->waits_for && !(c->sched_state.load(std::memory_order_relaxed) & kNotified)) {
        park_row(c);
    } else {
        row->state = READY;
    }
    row->since_ns = moment_ns(c->waits_for ? c->parked_since_tsc : tsc);
    __atomic_store_n(&row->id, c->tid, __ATOMIC_RELEASE);
}

// The agent's descriptors for the maps.
long receive(u32 agent, oc_maps_message* message, int fds[OC_MAPS]) {
    long fd = sys(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (is_error(fd)) return fd;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    Text name(address.sun_path + 1, sizeof address.sun_path - 1);
    name.add("ocrun-agent-").dec(agent).add("-").dec(g_pid);
    timespec patience{1, 0};
    sys(__NR_setsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    long r = sys(__NR_connect, fd, &address, offsetof(sockaddr_un, sun_path) + 1 + name.size());
    // Anybody may take the name: only root or this very user is believed.
    ucred who{};
    u32 who_bytes = sizeof who;
    if (!r) r = sys(__NR_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes);
    if (!r && who.uid != 0 && who.uid != u32(sys(__NR_geteuid))) r = -EPERM;
    if (!r) {
        struct {
            u64 length;
            int level, type, fds[OC_MAPS];
        } control{};
        iovec text{message, sizeof *message};
        msghdr m{};
        m.msg_iov = &text;
        m.msg_iovlen = 1;
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        r = sys(__NR_recvmsg, fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
        bool whole = r == long(sizeof *message) && control.type == SCM_RIGHTS && control.length == 16 + sizeof control.fds;
        r = is_error(r) ? r : whole ? 0 : -EPROTO;
        if (whole) memcpy(fds, control.fds, sizeof control.fds);
    }
    sys(__NR_close, fd);
    return r;
}

void forget_rows() {
    g_rows = nullptr;
    g_rings = nullptr;
    memset((void*)g_used, 0, (g_row_count + 63) / 64 * 8);
    g_row_count = g_ring_workers = 0;
}

void let_go() {
    for (Coroutine& c : registry()) c.row = nullptr;
    __atomic_and_fetch(&oc_observe.level, ~u32(OC_LEVEL_MIRROR), __ATOMIC_RELAXED);
    if (SharedMap& slots = g_maps[OC_MAP_WORKERS]; slots.bytes) {
        // Anonymous memory with the same contents takes the map's place.
        void* copy = pages_alloc(slots.bytes);
        if (copy) {
            memcpy(copy, g_worker_slots, slots.bytes);
            sys(__NR_mremap, copy, slots.bytes, slots.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, g_worker_slots);
            for (u32 i = 0; i * sizeof(oc_worker_slot) < slots.bytes; i++) g_worker_slots[i].kstate = 0;
            slots = {};
        }
    }
    // Helpers go on while the world stands still, and one may be writing to a row: plain memory takes its place.
    for (u32 i = OC_MAP_COROS; i < OC_MAPS; i++) {
        if (g_maps[i].at) sys(__NR_mmap, g_maps[i].at, g_maps[i].bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        g_maps[i] = {};
    }
    forget_rows();
    oc_observe.mirrored = 0;
}

// The world stands still.
void take(u32 agent, const oc_maps_message& m, const int fds[OC_MAPS]) {
    auto pages = [](size_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); };
    SharedMap maps[OC_MAPS]{};
    maps[OC_MAP_WORKERS].bytes = m.worker_rows * sizeof(oc_worker_slot);
    maps[OC_MAP_COROS].bytes = m.coroutine_rows * sizeof(oc_coroutine_row);
    maps[OC_MAP_RINGS].bytes = pages(m.worker_rows * OC_RING_ROWS * sizeof(oc_ring_row));
    for (u32 i = OC_MAP_RUNQ; i < OC_MAPS; i++) maps[i].bytes = pages(OC_HIST_ROWS * sizeof(oc_hist_row));
    u32 mapped = 0;
    for (; mapped < OC_MAPS; mapped++) {
        long at = sys(__NR_mmap, nullptr, maps[mapped].bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[mapped], 0);
        if (is_error(at)) break;
        maps[mapped].at = (void*)at;
    }
    if (mapped < OC_MAPS) {
        while (mapped-- > 0) sys(__NR_munmap, maps[mapped].at, maps[mapped].bytes);
        return;
    }
    SharedMap& slots = maps[OC_MAP_WORKERS];
    memcpy(slots.at, g_worker_slots, slots.bytes);
    sys(__NR_munmap, slots.at, slots.bytes);
    if (is_error(sys(__NR_mmap, g_worker_slots, slots.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fds[OC_MAP_WORKERS], 0)))
        die(125, "the map of workers cannot be mapped a second time");
    slots.at = g_worker_slots;
    for (u32 i = OC_MAP_COROS; i < OC_MAPS; i++) sys(__NR_madvise, maps[i].at, maps[i].bytes, MADV_DONTFORK);
    memcpy(g_maps, maps, sizeof g_maps);
    g_rows = (oc_coroutine_row*)maps[OC_MAP_COROS].at;
    g_row_count = m.coroutine_rows;
    g_rings = (oc_ring_row*)maps[OC_MAP_RINGS].at;
    g_ring_workers = m.worker_rows;
    for (u32 i = 0; i < m.worker_rows; i++) g_worker_slots[i].events = 0;
    g_rate = m.ns_per_tick;
    g_tsc0 = m.tsc;
    g_ns0 = m.ns;
    u64 tsc = __builtin_ia32_rdtsc();
    for (Coroutine& c : registry()) begin_row(&c, tsc);
    oc_observe.mirrored = agent;
    __atomic_or_fetch(&oc_observe.level, OC_LEVEL_MIRROR, __ATOMIC_RELEASE);
}

}  // namespace

void mirror_attend() {
    if (!g_attend_lock.try_lock()) return;
    u32 agent = __atomic_load_n(&oc_observe.agent, __ATOMIC_RELAXED);
    if (agent != oc_observe.mirrored) {
        oc_maps_message message{};
        int fds[OC_MAPS];
        for (int& fd : fds) fd = -1;
        long r = agent ? receive(agent, &message, fds) : 0;
        bool sound = agent && !r && message.magic == OC_MAPS_MAGIC && message.abi == OC_ABI && message.maps == OC_MAPS && message.worker_rows &&
                     message.worker_rows <= kMaxWorkers && message.worker_rows * sizeof(oc_worker_slot) % kPageBytes == 0 &&
                     message.coroutine_rows && message.coroutine_rows <= kMostRows &&
                     message.coroutine_rows * sizeof(oc_coroutine_row) % kPageBytes == 0;
        world_stop();
        if (oc_observe.mirrored) let_go();
        if (sound) take(agent, message, fds);
        world_go();
        for (int fd : fds)
            if (fd >= 0) sys(__NR_close, fd);
        if (!oc_observe.mirrored) oc_observe.agent = 0;  // asked again, it tries again
    }
    g_attend_lock.unlock();
}

void mirror_after_fork() {
    g_attend_lock.reset();
    // Still the parent's rows; the other maps did not come along (MADV_DONTFORK).
    if (size_t bytes = g_maps[OC_MAP_WORKERS].bytes)
        sys(__NR_mmap, g_worker_slots, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memset((void*)g_maps, 0, sizeof g_maps);
    this_coroutine()->row = nullptr;
    forget_rows();
    oc_observe.mirrored = oc_observe.agent = 0;
    oc_observe.level &= ~u32(OC_LEVEL_MIRROR);
}

void mirror_switch(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc) {
    if (t->slot) t->slot->switches++;
    put(OC_EV_SWITCH, tsc, observed_tid(to), observed_tid(from), to ? to->call_nr : OC_NO_CALL, why);
    if (from) count(OC_MAP_ONCPU, ticks_to_ns(tsc - t->switched_in_tsc));
    if (from && from->row) {
        oc_coroutine_row* row = from->row;
        row->oncpu_ns += ticks_to_ns(tsc - t->switched_in_tsc);
        if (why == OC_WHY_YIELDED) {
            row->state = READY;
            row->since_ns = moment_ns(tsc);
        }
    }
    if (to && to->row) {
        oc_coroutine_row* row = to->row;
        u64 now = moment_ns(tsc);
        if (row->state == READY) {
            u64 waited = now > row->since_ns ? now - row->since_ns : 0;
            row->runq_ns += waited;
            count(OC_MAP_RUNQ, waited);
        }
        row->state = RUNNING;
        row->since_ns = now;
        row->worker = t->tid;
        row->waits_for[0] = 0;
        row->switches = to->switches + 1;  // counted by switch_to in a moment
    }
}

void mirror_park(Coroutine* c) {
    put(OC_EV_PARK, c->parked_since_tsc, c->tid, 0, c->call_nr, c->waits_detail);
    if (c->row) park_row(c);
}

void mirror_wake(Coroutine* c, u32 reason, u64 tsc) {
    put(OC_EV_WAKE, tsc, c->tid, observed_tid(this_coroutine()), c->call_nr, reason);
    oc_coroutine_row* row = c->row;
    if (!row || row->state != PARKED) return;
    u64 now = moment_ns(tsc), parked = now > row->since_ns ? now - row->since_ns : 0;
    row->parked_ns += parked;
    count(OC_MAP_PARKED, parked);
    row->state = READY;
    row->since_ns = now;
}

void mirror_event(u32 kind, Coroutine* c, u32 more) {
    u64 tsc = __builtin_ia32_rdtsc();
    put(kind, tsc, c->tid, kind == OC_EV_CREATE ? more : 0, kind == OC_EV_KBLOCK ? more : c->call_nr, 0);
    if (kind == OC_EV_CREATE) begin_row(c, tsc);
    if (kind == OC_EV_EXIT) {
        oc_coroutine_row* row = c->row;
        c->row = nullptr;
        if (row) give_back(row);
    }
}

void mirror_call(Coroutine* c, u32 nr) {
    if (c->row) c->row->call = nr;
}

}  // namespace ocrun
