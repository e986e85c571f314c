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
static_assert(sizeof(oc_worker_slot) == 128 && sizeof(oc_coroutine_row) == 128);

Lock g_attend_lock;
oc_coroutine_row* g_rows;
u32 g_row_count;
size_t g_slot_map_bytes;
std::atomic<u64> g_used[kMostRows / 64];  // one bit a row
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
        mirror_park(c);
    } else {
        row->state = READY;
    }
    row->since_ns = moment_ns(c->waits_for ? c->parked_since_tsc : tsc);
    __atomic_store_n(&row->id, c->tid, __ATOMIC_RELEASE);
}

// The agent's descriptors for the maps of workers and coroutines.
long receive(u32 agent, oc_maps_message* message, int fds[2]) {
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
            int level, type, fds[2];
        } control{};
        iovec text{message, sizeof *message};
        msghdr m{};
        m.msg_iov = &text;
        m.msg_iovlen = 1;
        m.msg_control = &control;
        m.msg_controllen = sizeof control;
        r = sys(__NR_recvmsg, fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
        bool whole = r == long(sizeof *message) && control.type == SCM_RIGHTS && control.length == 24;
        r = is_error(r) ? r : whole ? 0 : -EPROTO;
        if (whole) {
            fds[0] = control.fds[0];
            fds[1] = control.fds[1];
        }
    }
    sys(__NR_close, fd);
    return r;
}

void let_go() {
    for (Coroutine& c : registry()) c.row = nullptr;
    __atomic_and_fetch(&oc_observe.level, ~u32(OC_LEVEL_MIRROR), __ATOMIC_RELAXED);
    if (g_slot_map_bytes) {
        // Anonymous memory with the same contents takes the map's place.
        void* copy = pages_alloc(g_slot_map_bytes);
        if (copy) {
            memcpy(copy, g_worker_slots, g_slot_map_bytes);
            sys(__NR_mremap, copy, g_slot_map_bytes, g_slot_map_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, g_worker_slots);
            for (u32 i = 0; i * sizeof(oc_worker_slot) < g_slot_map_bytes; i++) g_worker_slots[i].kstate = 0;
            g_slot_map_bytes = 0;
        }
    }
    // Helpers go on while the world stands still, and one may be writing to a row: plain memory takes its place.
    if (g_rows)
        sys(__NR_mmap, g_rows, g_row_count * sizeof *g_rows, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    g_rows = nullptr;
    memset((void*)g_used, 0, (g_row_count + 63) / 64 * 8);
    g_row_count = 0;
    oc_observe.mirrored = 0;
}

// The world stands still.
void take(u32 agent, const oc_maps_message& m, const int fds[2]) {
    size_t slot_bytes = m.worker_rows * sizeof(oc_worker_slot), row_bytes = m.coroutine_rows * sizeof(oc_coroutine_row);
    long rows = sys(__NR_mmap, nullptr, row_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    long slots = sys(__NR_mmap, nullptr, slot_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    if (!is_error(rows) && !is_error(slots)) {
        memcpy((void*)slots, g_worker_slots, slot_bytes);
        sys(__NR_munmap, slots, slot_bytes);
        slots = sys(__NR_mmap, g_worker_slots, slot_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fds[0], 0);
        if (is_error(slots)) die(125, "the map of workers cannot be mapped a second time");
        g_slot_map_bytes = slot_bytes;
        g_rows = (oc_coroutine_row*)rows;
        g_row_count = m.coroutine_rows;
        g_rate = m.ns_per_tick;
        g_tsc0 = m.tsc;
        g_ns0 = m.ns;
        sys(__NR_madvise, rows, row_bytes, MADV_DONTFORK);
        u64 tsc = __builtin_ia32_rdtsc();
        for (Coroutine& c : registry()) begin_row(&c, tsc);
        oc_observe.mirrored = agent;
        __atomic_or_fetch(&oc_observe.level, OC_LEVEL_MIRROR, __ATOMIC_RELEASE);
        return;
    }
    if (!is_error(rows)) sys(__NR_munmap, rows, row_bytes);
    if (!is_error(slots)) sys(__NR_munmap, slots, slot_bytes);
}

}  // namespace

void mirror_attend() {
    if (!g_attend_lock.try_lock()) return;
    u32 agent = __atomic_load_n(&oc_observe.agent, __ATOMIC_RELAXED);
    if (agent != oc_observe.mirrored) {
        oc_maps_message message{};
        int fds[2] = {-1, -1};
        long r = agent ? receive(agent, &message, fds) : 0;
        bool sound = agent && !r && message.magic == OC_MAPS_MAGIC && message.abi == OC_ABI && message.worker_rows &&
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
    if (g_slot_map_bytes) {
        // Still the parent's rows; those of coroutines did not come along (MADV_DONTFORK).
        sys(__NR_mmap, g_worker_slots, g_slot_map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        g_slot_map_bytes = 0;
    }
    this_coroutine()->row = nullptr;
    g_rows = nullptr;
    memset((void*)g_used, 0, (g_row_count + 63) / 64 * 8);
    g_row_count = 0;
    oc_observe.mirrored = oc_observe.agent = 0;
    oc_observe.level &= ~u32(OC_LEVEL_MIRROR);
}

void mirror_switch(KThread* t, Coroutine* from, u32 why, Coroutine* to, u64 tsc) {
    if (t->slot) t->slot->switches++;
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
        if (row->state == READY && now > row->since_ns) row->runq_ns += now - row->since_ns;
        row->state = RUNNING;
        row->since_ns = now;
        row->worker = t->tid;
        row->waits_for[0] = 0;
        row->switches = to->switches + 1;  // counted by switch_to in a moment
    }
}

void mirror_park(Coroutine* c) {
    oc_coroutine_row* row = c->row;
    if (!row) return;
    row->state = PARKED;
    row->since_ns = moment_ns(c->parked_since_tsc);
    row->call = c->call_nr;
    row->wait_detail = c->waits_detail;
    row->rip = c->regs.rip;
    row->rsp = c->regs.rsp;
    row->rbp = c->regs.rbp;
    text_copy(row->waits_for, sizeof row->waits_for, c->waits_for);
}

void mirror_wake(Coroutine* c, u64 tsc) {
    oc_coroutine_row* row = c->row;
    if (!row || row->state != PARKED) return;
    u64 now = moment_ns(tsc);
    if (now > row->since_ns) row->parked_ns += now - row->since_ns;
    row->state = READY;
    row->since_ns = now;
}

void mirror_create(Coroutine* c) { begin_row(c, __builtin_ia32_rdtsc()); }

void mirror_exit(Coroutine* c) {
    oc_coroutine_row* row = c->row;
    c->row = nullptr;
    if (row) give_back(row);
}

void mirror_call(Coroutine* c, u32 nr) {
    if (c->row) c->row->call = nr;
}

}  // namespace ocrun
