/* worker_slot.h - what a worker shows of itself: plain C, shared by the scheduler's monitor and the BPF programs
 *
 * One slot of 128 bytes a worker, in one page-aligned array (g_worker_slots), so that a mmapable BPF array of the same value
 * size can be mapped over it. The first half is written by the worker alone, with plain stores; the second half by BPF alone
 * (zero while none is attached). Slot i belongs to worker i for the life of the process; a fork child begins anew.
 */
#ifndef OCRUN_WORKER_SLOT_H
#define OCRUN_WORKER_SLOT_H

enum oc_worker_state {
    OC_WORKER_NONE = 0,    /* no such worker */
    OC_WORKER_IDLE = 1,    /* looks for work or sleeps: blocking is what it is there for */
    OC_WORKER_RUNNING = 2, /* runs a coroutine, in the guest or in the runtime: nobody expects it to block */
    OC_WORKER_NATIVE = 3,  /* in a system call for its coroutine that may block: `nr`, since `since_tsc` */
};

struct oc_worker_slot {
    unsigned tid;        /* kernel thread */
    unsigned co;         /* thread id of its coroutine, 0: none */
    unsigned char state; /* enum oc_worker_state */
    unsigned char expect_block;
    unsigned char retaken; /* its place among the active workers is another's until it is back */
    unsigned char pinned;  /* runs one coroutine and no other */
    unsigned nr;           /* state NATIVE: the call */
    unsigned long since_tsc;
    unsigned long reserved[5];

    /* BPF: */
    unsigned kstate;  /* 1: off the CPU although it runs a coroutine */
    unsigned kblocks; /* how often */
    unsigned long kblock_since_ns;
    unsigned long kreserved[6];
} __attribute__((aligned(128)));

#endif
