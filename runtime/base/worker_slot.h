/* worker_slot.h - what a worker shows of itself: plain C, shared by the scheduler's monitor and the BPF programs
 *
 * One slot of 128 bytes a worker, in one page-aligned array (g_worker_slots), so that a mmapable BPF array of the same value
 * size can be mapped over it. The first half is written by the worker alone, with plain stores; the second half by BPF alone
 * (zero while none is attached). Slot i belongs to worker i for the life of the process; a fork child begins anew.
 */
#ifndef OCRUN_WORKER_SLOT_H
#define OCRUN_WORKER_SLOT_H

enum oc_kstate { ON_CPU = 0, BLOCKED = 1 };
#ifdef OC_BPF /* bpftool prints the names of enums */
#define OC_SLOT_STATE enum oc_worker_state
#define OC_SLOT_KSTATE enum oc_kstate
#define OC_SLOT_CALL enum oc_sysno
#else
#define OC_SLOT_STATE unsigned
#define OC_SLOT_KSTATE unsigned
#define OC_SLOT_CALL unsigned
#endif

/* bpftool shows these names */
enum oc_worker_state {
    OC_WORKER_NONE = 0,    /* no such worker */
    OC_WORKER_IDLE = 1,    /* looks for work or sleeps: blocking is what it is there for */
    OC_WORKER_RUNNING = 2, /* runs a coroutine, in the guest or in the runtime: nobody expects it to block */
    OC_WORKER_NATIVE = 3,  /* in a system call for its coroutine that may block: `nr`, since `since_tsc` */
};

struct oc_worker_slot {
    unsigned tid;        /* kernel thread */
    unsigned co;         /* thread id of its coroutine, 0: none */
    OC_SLOT_STATE state; /* enum oc_worker_state */
    unsigned char expect_block;
    unsigned char retaken; /* its place among the active workers is another's until it is back */
    unsigned char pinned;  /* runs one coroutine and no other */
    unsigned char pad;
    unsigned nr;           /* state NATIVE: the call */
    unsigned long since_tsc;
    unsigned long switches; /* to a coroutine or to the idle loop; counted while a BPF array is mapped */
    unsigned handovers, handovers_told; /* its queue was given away: in all, and on the word of BPF; the monitor writes them */
    unsigned long events;  /* written into its ring (bpf/events.h) */
    unsigned long reserved;

    /* BPF: */
    OC_SLOT_KSTATE kstate; /* 1: off the CPU although it runs a coroutine */
    unsigned kblocks;      /* how often */
    unsigned long kblock_since_ns;
    OC_SLOT_CALL kcall;    /* in which system call the last time, native ones too; 512: a page fault */
    unsigned kexpected;    /* expect_block then */
    unsigned long kblock_ns;  /* for how long in all */
    unsigned long kticks, kpreempts;  /* of the tick on the worker's own CPU: seen, and signals that it sent */
    unsigned long kseen_switches;
} __attribute__((aligned(128)));

#endif
