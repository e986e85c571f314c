/* events.h - what the runtime shows to the outside: plain C, shared by the runtime, the BPF programs and the views
 *
 * Three ways in, cheapest first:
 *   board    a constant table in ocrun's read-only data that says where coroutines and workers lie in the process's memory. A
 *            view finds it by the ELF note below and reads with process_vm_readv: the process does nothing for it.
 *   records  while somebody looks, every kernel thread of the process writes events and counts into a file of its own, mapped
 *            shared, in a directory that the view made (0700). What was recorded outlives the process.
 *   maps     with BPF the agent gives the process two arrays (workers, coros); the runtime keeps rows there, the agent pins
 *            them for bpftool.
 * All numbers are in host byte order. Times are time-stamp counter ticks (`_tsc`) or nanoseconds of CLOCK_MONOTONIC (`_ns`).
 * A process's memory is its own to write: views treat everything read from it as hostile.
 */
#ifndef OCRUN_EVENTS_H
#define OCRUN_EVENTS_H

#ifndef __VMLINUX_TYPES__ /* the BPF side has its own */
#include <stdint.h>
typedef uint8_t oc_u8;
typedef uint16_t oc_u16;
typedef uint32_t oc_u32;
typedef uint64_t oc_u64;
typedef int32_t oc_s32;
typedef int64_t oc_s64;
#endif

#define OC_ABI 3u
#define OC_BOARD_MAGIC 0x647261626e75726fULL   /* "orunbard" */
#define OC_SESSION_MAGIC 0x6e69736e75726f6fULL
#define OC_RECORD_MAGIC 0x6365726e75726f6fULL
#define OC_NOTE_NAME "ocrun"                   /* PT_NOTE of ocrun: type 1, descriptor = address of struct oc_board */
#define OC_NO_CALL 0xffffffffu
#define OC_NAME_BYTES 16

/* ---- board ------------------------------------------------------------------------------------------------------- */

/* Offsets of fields in the runtime's structures, taken by the compiler that built it. */
struct oc_coroutine_layout {
    oc_u16 regs;             /* struct sigcontext order: r8 ... r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags */
    oc_u16 bytes;            /* sizeof, what a view reads of a coroutine */
    oc_u16 tid;              /* u32: what gettid answers */
    oc_u16 parent;           /* u32: who made it */
    oc_u16 registered;       /* u8: the slot holds a live coroutine */
    oc_u16 direct;           /* u8: child of a vfork */
    oc_u16 name;             /* char[16] */
    oc_u16 sched_state;      /* u32: bit 0 woken, bit 1 off its stack */
    oc_u16 on;               /* pointer: the worker that runs it */
    oc_u16 switches;         /* u64: how often it was switched in */
    oc_u16 cpu_tsc;          /* u64: ticks switched in, up to the last switch */
    oc_u16 cpu_base_ns;      /* u64: what the kernel had counted while it was the only thread */
    oc_u16 queued_tsc;       /* u64: ticks in run queues, counted while somebody looks */
    oc_u16 parked_tsc;       /* u64: ticks parked, likewise */
    oc_u16 call_nr;          /* u32: system call in progress, OC_NO_CALL: none */
    oc_u16 waits_for;        /* pointer to constant text in the runtime, 0: not parked */
    oc_u16 waits_detail;     /* u64: address, descriptor ... */
    oc_u16 parked_since_tsc; /* u64 */
    oc_u16 timer_armed;      /* u8 */
    oc_u16 timer_deadline;   /* u64 ns */
    oc_u16 mask;             /* u64: blocked signals */
    oc_u16 pending;          /* u64: pending signals */
};

struct oc_worker_layout {
    oc_u16 bytes;
    oc_u16 tid;             /* u32: its kernel thread */
    oc_u16 current;         /* pointer: the coroutine it runs, 0: none */
    oc_u16 run_count;       /* u32: coroutines in its queue */
    oc_u16 switched_in_tsc; /* u64: since when it runs `current`, or nothing */
    oc_u16 calls;           /* u64: system calls that came to it */
    oc_u16 reserved[2];
};

/* Pointers of the board are addresses in the observed process. */
struct oc_board {
    oc_u64 magic;
    oc_u32 abi, bytes;
    const void *text_begin, *text_end;   /* the runtime's own code */
    struct oc_control *control;
    const void *pid;                     /* u32: kernel id of the process; 0 until it started */
    const void *multi;                   /* u8: more than one coroutine exists */
    const void *preempt;                 /* u64: the longest time slice in ns, 0: no preemption */
    const void *monitor;                 /* u32: kernel thread that hands over queues, 0: none */
    /* Coroutines: *pool_chunks is an array of *pool_chunk_count pointers to chunks of slots_per_chunk slots, each a coroutine,
     * *pool_slot_bytes apart. Of the newest chunk only *pool_fresh slots were ever used. */
    const void *pool_chunks, *pool_chunk_count, *pool_fresh, *pool_slot_bytes;
    oc_u64 slots_per_chunk;
    const void *workers;                 /* array of pointers to workers */
    const void *worker_count;            /* u32 */
    struct oc_coroutine_layout coroutine;
    struct oc_worker_layout worker;
};

/* ---- control: the one thing that a view writes into the process -------------------------------------------------------- */

enum oc_level {
    OC_LEVEL_TIMES = 1,  /* per-coroutine times in run queues and parked; histograms */
    OC_LEVEL_CALLS = 2,  /* count, errors and time of each system call */
    OC_LEVEL_EVENTS = 4, /* every switch, park, wake, call into the ring */
    OC_LEVEL_MIRROR = 8, /* rows in the BPF maps; set by the runtime when it has mapped them */
};

#define OC_DIRECTORY_BYTES 96
struct oc_control {
    oc_u32 level;                       /* 0: every hook is one test of this word */
    oc_u32 agent;                       /* pid of the agent whose maps are to be taken, 0: none */
    oc_u32 mirrored;                    /* pid of the agent whose maps are in use */
    oc_u32 refused;                     /* sessions that could not be opened */
    oc_u32 generation;                  /* grown by the view with each session */
    oc_u32 rows_wanting;                /* coroutines that found no free row */
    oc_u64 since_tsc;                   /* of the session in force: calls that began earlier were not seen to begin */
    char directory[OC_DIRECTORY_BYTES]; /* absolute, where `session` and the records are; written before `level` */
};

/* ---- records ----------------------------------------------------------------------------------------------------------- */

/* DIRECTORY/session: made by the view, mapped by every process that records. */
struct oc_session {
    oc_u64 magic;
    oc_u32 abi;
    oc_u32 level;        /* what is wanted; a process turns itself off when it finds 0 or a time past until_tsc */
    oc_u64 until_tsc;    /* renewed by the view: when the view dies recording ends by itself */
    oc_u32 ring_events;  /* size of each ring, a power of two */
    oc_u32 refused;      /* added up over all processes */
    oc_u32 records;      /* files made so far: the view looks for new ones when it grew */
    oc_u32 bell;         /* futex of the view: grown and woken by a writer with every OC_RINGS_IN_A_LAP-th part of its ring */
};
#define OC_RINGS_IN_A_LAP 4u

/* An event is 16 bytes, because what recording costs is the cache lines it touches: `when` holds the kind, a small number `nr` and the
 * time, `data` what the kind says. `own` events are of the coroutine that the last SWITCH or OWNER of the same ring named. */
enum oc_event_kind {
    OC_EV_SWITCH = 1, /* data: who runs now (0: idle), above it who left (0: idle); nr: enum oc_switch_why */
    OC_EV_PARK,       /* own; nr: system call; data: ticks since it began, above them the detail (descriptor) */
    OC_EV_WAKE,       /* data: who was woken, above it who woke (0: timer, descriptor, helper); nr: reason */
    OC_EV_CREATE,     /* data: the new one, above it its parent */
    OC_EV_NAME,       /* of the one that the last CREATE named; data: 8 bytes of its name, nr 0: the first, 1: the second 8 */
    OC_EV_EXIT,       /* own */
    OC_EV_CALL,       /* own; nr: system call, time: when it began; data: first argument. Where RETURN or PARK cannot tell */
    OC_EV_RETURN,     /* own; nr: system call; data: enum oc_return_bits. A call is one event, written when it returns */
    OC_EV_PREEMPT,    /* own: its time was up */
    OC_EV_KBLOCK,     /* data: whose worker stayed in the kernel for long; nr: system call */
    OC_EV_OWNER,      /* data: whom own events are of from here on */
    OC_EV_WIDE,       /* data: the detail of the next PARK, the result of the next RETURN, which has no room for it */
};
enum oc_event_bits {
    OC_WHEN_BITS = 48, /* ticks since start_tsc of the record, modulo 2^48: more than half a day */
    OC_KIND_BITS = 4,
    OC_NR_BITS = 12,   /* all ones: no system call */
};
/* RETURN.data, from the low end: ticks since the call began, all ones: not known (it began before the recording, or a CALL says it);
 * result and first argument, signed, the least value: not here (WIDE has it; the argument is left out). */
enum oc_return_bits { OC_RETURN_TICKS_BITS = 28, OC_RETURN_RESULT_BITS = 20, OC_RETURN_ARGUMENT_BITS = 16 };
/* PARK.data: 32 bits each; ticks all ones: as above; detail all ones: WIDE has it. */
enum oc_switch_why { OC_WHY_PARKED, OC_WHY_YIELDED, OC_WHY_ENDED, OC_WHY_STARTED };

struct oc_event {
    oc_u64 when; /* time, kind, nr: from the low end */
    oc_u64 data;
};

#define OC_CALLS 512
#define OC_BUCKETS 64 /* bucket i: 2^(i-1) <= ticks < 2^i */
struct oc_call_count {
    oc_u64 calls, errors, tsc, longest_tsc;
};

/* DIRECTORY/PID-TID-…: one kernel thread of one image. Written by that thread alone; `head` only grows and is stored after the
 * event. Events older than the newest ring_events are overwritten: the reader counts them as dropped. */
struct oc_record {
    oc_u64 magic;
    oc_u32 abi, pid, tid, ring_events;
    oc_u64 start_tsc;
    oc_u64 head;
    oc_u32 owner, reserved;   /* the writer's own: of whom the reader thinks that own events are */
    oc_u64 switches;
    char name[OC_NAME_BYTES]; /* the program */
    oc_u64 on_cpu[OC_BUCKETS], queued[OC_BUCKETS], parked[OC_BUCKETS];
    struct oc_call_count calls[OC_CALLS];
    /* struct oc_event ring[ring_events] from OC_RING_OFFSET on */
};
#define OC_RING_OFFSET 20480

/* ---- rows of the BPF maps ----------------------------------------------------------------------------------------------
 * `workers` holds struct oc_worker_slot (runtime/base/worker_slot.h), `coros` struct oc_coroutine_row; both arrays are memory that
 * the runtime writes and bpftool reads. In the BPF object system calls have an enum as their type, so bpftool prints names. */

#ifdef OC_BPF
#define OC_CALL_TYPE enum oc_sysno
#else
#define OC_CALL_TYPE oc_u32
#endif
#define OC_PAGE_FAULT 512u /* as a number of a system call: the kernel blocked the worker without one */

enum oc_state { FREE = 0, READY, RUNNING, PARKED };
#ifdef OC_BPF
#define OC_STATE_TYPE enum oc_state
#else
#define OC_STATE_TYPE oc_u32
#endif

struct oc_coroutine_row {
    oc_u32 id;            /* what gettid answers; 0: the row is free */
    oc_u32 parent;
    OC_STATE_TYPE state;
    OC_CALL_TYPE call;    /* system call in progress; 4294967295: none */
    oc_u32 worker;        /* kernel thread that runs it, or ran it last */
    oc_u32 reserved;
    oc_u64 switches;      /* how often it was switched in */
    oc_u64 since_ns;      /* when the state began */
    oc_u64 oncpu_ns, runq_ns, parked_ns;
    oc_u64 wait_detail;   /* descriptor, address ... */
    oc_u64 rip, rsp, rbp; /* where it made the call it waits in */
    char waits_for[OC_NAME_BYTES];
    char comm[OC_NAME_BYTES];
};

/* Map `rings`: the newest OC_RING_ROWS events of each worker, from row OC_RING_ROWS * (its row in `workers`) on. */
#define OC_RING_ROWS 128u
#ifdef OC_BPF
#define OC_EVENT_TYPE enum oc_event_kind
#else
#define OC_EVENT_TYPE oc_u32
#endif
struct oc_ring_row {
    oc_u64 when_ns;
    OC_EVENT_TYPE kind; /* SWITCH, PARK, WAKE, CREATE, EXIT, PREEMPT, KBLOCK; 0: none yet */
    oc_u32 seq;         /* counts the events of this worker */
    oc_u32 worker;      /* kernel thread */
    oc_u32 co;          /* who runs now, parks, is woken ... 0: nobody */
    oc_u32 other;       /* who left, who woke, the parent */
    OC_CALL_TYPE call;  /* that co is in */
    oc_u64 detail;      /* SWITCH: enum oc_switch_why; WAKE: reason; PARK: descriptor, address ... */
};

/* Maps `hist_runq`, `hist_oncpu`, `hist_parked`: how often a time was that long. */
#define OC_HIST_ROWS 40u
struct oc_hist_row {
    oc_u64 from_ns, below_ns, count;
};

/* Map `events`: the newest OC_KBLOCK_ROWS blocks in the kernel that are over. */
#define OC_KBLOCK_ROWS 1024u
struct oc_kblock_row {
    oc_u64 seq;      /* from 1 on; 0: none yet */
    oc_u64 since_ns, ns;
    oc_u32 worker;   /* kernel thread */
    oc_u32 co;       /* the coroutine that it ran */
    OC_CALL_TYPE call;
    oc_u32 expected; /* 1: the runtime knew that the call may block */
};

/* Maps that the runtime writes: the order of the descriptors that the agent sends. */
enum oc_map { OC_MAP_WORKERS, OC_MAP_COROS, OC_MAP_RINGS, OC_MAP_RUNQ, OC_MAP_ONCPU, OC_MAP_PARKED, OC_MAPS };
struct oc_maps_message {
    oc_u64 magic;
    oc_u32 abi, worker_rows, coroutine_rows, maps;
    oc_u64 tsc, ns;      /* the same moment on both clocks */
    oc_u64 ns_per_tick;  /* 32.32 fixed point */
};
#define OC_MAPS_MAGIC 0x7370616d6e757272ULL

struct oc_kblock_count {
    oc_u64 blocks, ns, longest_ns;
};

enum oc_loss { rows_wanting, signals_failed, OC_LOSSES };

struct oc_meta {
    oc_u32 abi, pid, agent, worker_rows, coroutine_rows, reserved;
    oc_u64 pid_start, agent_start; /* field 22 of /proc/PID/stat: tells a stale directory from a new process of the same number */
    oc_u64 attached_ns;            /* CLOCK_MONOTONIC */
};

#endif
