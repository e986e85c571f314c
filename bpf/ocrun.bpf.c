/* ocrun.bpf.c - what the kernel knows of a process's workers, and the maps in which the runtime keeps its rows
 *
 * One instance of these programs watches one process (`target`). oc_sched_switch runs at every switch of the machine: for
 * another process it is one comparison. A worker that leaves the CPU blocked although it runs a coroutine is marked in its row
 * (the runtime's monitor reads it there), counted by the system call it is in, and the monitor gets a signal, at most one a
 * millisecond. oc_tick runs on the worker's own CPU, from a clock of perf: a signal from there is never late as one across CPUs is.
 */
#define OC_BPF
#include "bpf/kernel.h"
#include "sysno.h"

#include "bpf/events.h"
#include "runtime/base/worker_slot.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define WORKER_ROWS 32
#define TASK_RUNNING_STATE 0
#define INTERNAL_SIGNAL 64     /* signal/signals.h */
#define SIGNAL_EVERY_NS 1000000

const volatile __u32 target;   /* thread group */
const volatile bool assist;    /* signals may be sent */
const volatile __u64 tick_ns;  /* time slice enforced by oc_tick */
__u32 monitor;                 /* kernel thread of the runtime's monitor, 0: none */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, WORKER_ROWS);
    __type(key, __u32);
    __type(value, struct oc_worker_slot);
} workers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 64); /* the agent chooses */
    __type(key, __u32);
    __type(value, struct oc_coroutine_row);
} coros SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, WORKER_ROWS * OC_RING_ROWS);
    __type(key, __u32);
    __type(value, struct oc_ring_row);
} rings SEC(".maps");

#define HISTOGRAM(name)                         \
    struct {                                    \
        __uint(type, BPF_MAP_TYPE_ARRAY);       \
        __uint(map_flags, BPF_F_MMAPABLE);      \
        __uint(max_entries, OC_HIST_ROWS);      \
        __type(key, __u32);                     \
        __type(value, struct oc_hist_row);      \
    } name SEC(".maps")
HISTOGRAM(hist_runq);
HISTOGRAM(hist_oncpu);
HISTOGRAM(hist_parked);

/* not a ring buffer: bpftool cannot dump one */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, OC_KBLOCK_ROWS);
    __type(key, __u32);
    __type(value, struct oc_kblock_row);
} events SEC(".maps");
__u64 event_count;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 520);
    __type(key, enum oc_sysno);
    __type(value, struct oc_kblock_count);
} hist_kblock SEC(".maps");

/* a hash, because the key of an array may not have an enum as its type; the agent puts the zeros in */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, OC_LOSSES);
    __type(key, enum oc_loss);
    __type(value, __u64);
} dropped SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct oc_meta);
} meta SEC(".maps");

/* kernel thread -> row; filled by the first switch of a worker */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u32);
} tids SEC(".maps");

static struct oc_worker_slot *slot_of(__u32 tid) {
    __u32 *known = bpf_map_lookup_elem(&tids, &tid);
    if (known) {
        __u32 row = *known;
        struct oc_worker_slot *slot = bpf_map_lookup_elem(&workers, &row);
        if (slot && slot->tid == tid) return slot;
    }
    for (__u32 i = 0; i < WORKER_ROWS; i++) {
        __u32 row = i;
        struct oc_worker_slot *slot = bpf_map_lookup_elem(&workers, &row);
        if (slot && slot->tid == tid) {
            bpf_map_update_elem(&tids, &tid, &row, BPF_ANY);
            return slot;
        }
    }
    return 0;
}

/* The call that the task is in: natively made ones too, of which the runtime knows nothing. The entry code leaves rcx == rip and
 * r11 == flags; an exception does not. */
static __u32 call_of(struct task_struct *task) {
    struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
    if (BPF_CORE_READ(regs, cx) != BPF_CORE_READ(regs, ip)) return OC_PAGE_FAULT;
    __u64 nr = BPF_CORE_READ(regs, orig_ax);
    return nr < OC_PAGE_FAULT ? (__u32)nr : OC_PAGE_FAULT;
}

static void lost(enum oc_loss which) {
    __u64 *n = bpf_map_lookup_elem(&dropped, &which);
    if (n) __sync_fetch_and_add(n, 1);
}

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;
extern int bpf_send_signal_task(struct task_struct *task, int sig, enum pid_type type, __u64 value) __ksym __weak;
#define OBSERVE_COOKIE 0x0c720003 /* signal/signals.h: kInternalObserve */

__u64 last_signal_ns;

static void tell_monitor(__u64 now) {
    if (!assist || !monitor || now - last_signal_ns < SIGNAL_EVERY_NS) return;
    if (!bpf_task_from_pid || !bpf_send_signal_task || !bpf_task_release) return;
    last_signal_ns = now;
    struct task_struct *task = bpf_task_from_pid(monitor);
    if (!task) return;
    /* after an exec its number may be another process's */
    if ((__u32)task->tgid == target && bpf_send_signal_task(task, INTERNAL_SIGNAL, PIDTYPE_PID, OBSERVE_COOKIE)) lost(signals_failed);
    bpf_task_release(task);
}

static void keep_block(struct oc_worker_slot *slot, __u64 ns) {
    __u64 seq = __sync_fetch_and_add(&event_count, 1);
    __u32 key = seq % OC_KBLOCK_ROWS;
    struct oc_kblock_row *row = bpf_map_lookup_elem(&events, &key);
    if (!row) return;
    row->seq = 0; /* who reads it now sees that it is not whole */
    row->since_ns = slot->kblock_since_ns;
    row->ns = ns;
    row->worker = slot->tid;
    row->co = slot->co;
    row->call = slot->kcall;
    row->expected = slot->kexpected;
    row->seq = seq + 1;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(oc_sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state) {
    if ((__u32)prev->tgid == target && !preempt && prev_state != TASK_RUNNING_STATE) {
        struct oc_worker_slot *slot = slot_of((__u32)prev->pid);
        /* RUNNING: it runs a coroutine and nobody expects it to wait; NATIVE: in a call that may block, and does */
        if (slot && (slot->state == OC_WORKER_RUNNING || slot->state == OC_WORKER_NATIVE)) {
            __u64 now = bpf_ktime_get_ns();
            slot->kcall = call_of(prev);
            slot->kblock_since_ns = now;
            slot->kblocks++;
            slot->kexpected = slot->expect_block;
            slot->kstate = BLOCKED;
            if (!slot->expect_block) tell_monitor(now);
        }
    }
    if ((__u32)next->tgid == target) {
        struct oc_worker_slot *slot = slot_of((__u32)next->pid);
        if (slot && slot->kstate == BLOCKED) {
            slot->kstate = ON_CPU;
            __u64 ns = bpf_ktime_get_ns() - slot->kblock_since_ns;
            slot->kblock_ns += ns;
            keep_block(slot, ns);
            enum oc_sysno call = slot->kcall;
            struct oc_kblock_count *count = bpf_map_lookup_elem(&hist_kblock, &call);
            if (!count) {
                struct oc_kblock_count none = {};
                bpf_map_update_elem(&hist_kblock, &call, &none, BPF_NOEXIST);
                count = bpf_map_lookup_elem(&hist_kblock, &call);
            }
            if (count) {
                __sync_fetch_and_add(&count->blocks, 1);
                __sync_fetch_and_add(&count->ns, ns);
                if (ns > count->longest_ns) count->longest_ns = ns;
            }
        }
    }
    return 0;
}

/* Attached to a clock of each worker: the time slice of its coroutine is over. Guest code or not, the signal's handler decides. */
SEC("perf_event")
int oc_tick(void *context) {
    __u32 tid = (__u32)bpf_get_current_pid_tgid();
    struct oc_worker_slot *slot = slot_of(tid);
    if (!slot || slot->state != OC_WORKER_RUNNING) return 0;
    slot->kticks++;
    /* The same coroutine in the same slice as a tick ago. */
    if (slot->kseen_switches != slot->switches) {
        slot->kseen_switches = slot->switches;
        return 0;
    }
    if (bpf_send_signal_thread(INTERNAL_SIGNAL)) {
        lost(signals_failed);
        return 0;
    }
    slot->kpreempts++;
    return 0;
}

SEC("iter/bpf_map_elem")
int oc_top(struct bpf_iter__bpf_map_elem *context) {
    struct seq_file *seq = context->meta->seq;
    struct oc_coroutine_row *row = context->value;
    if (context->meta->seq_num == 0)
        BPF_SEQ_PRINTF(seq, "%10s %-15s %-7s %10s %12s %12s %12s %s\n", "id", "comm", "state", "switches", "oncpu_us", "runq_us", "parked_us",
                       "waits_for");
    if (!row || !row->id) return 0;
    const char *state = row->state == READY ? "ready" : row->state == RUNNING ? "running" : row->state == PARKED ? "parked" : "free";
    BPF_SEQ_PRINTF(seq, "%10u %-15s %-7s %10llu %12llu %12llu %12llu %s\n", row->id, row->comm, state, row->switches, row->oncpu_ns / 1000,
                   row->runq_ns / 1000, row->parked_ns / 1000, row->waits_for);
    return 0;
}

/* On demand (`ocrun bpf --print`): a line in the kernel's trace buffer for each switch; `bpftool prog tracelog` shows them. */
SEC("usdt")
int BPF_USDT(oc_print_switch, unsigned from, unsigned to, unsigned worker, unsigned why) {
    bpf_printk("ocrun switch %d -> %d worker %d", from, to, worker);
    return 0;
}
