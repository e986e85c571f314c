/* table.h - the function table by which libocrun calls the runtime without a system call (plain C, shared by both sides)
 *
 * How it is found: arch_prctl(OC_TABLE_PRCTL, &where), which the runtime answers and no kernel knows (-EINVAL there). It names
 * the table, the same for all threads, and the calling thread itself; both stay as they are for the thread's life.
 *
 * Every entry is an ordinary C function of the System V ABI, called on the caller's stack with its own FS; its first argument is
 * the calling thread's `self`. It switches to the thread's runtime stack, as a trap does, and uses no vector register. Signals
 * that came meanwhile are delivered at its return. Results: >= 0, or -errno.
 *
 * Versions: entries are only ever appended; `bytes` tells how many there are.
 */
#ifndef OCRUN_TABLE_H
#define OCRUN_TABLE_H
#include <stdint.h>

#define OC_TABLE_PRCTL 0x6f630001
#define OC_TABLE_MAGIC 0x6f637461u
#define OC_TABLE_VERSION 1u

/* What a park waits for, as `ocrun dump` shows it. */
enum oc_park_reason { OC_PARK_IDLE, OC_PARK_JOIN, OC_PARK_SLEEP, OC_PARK_LOCK, OC_PARK_REASONS };

struct oc_runtime_info {
    uint32_t workers;     /* kernel threads that run coroutines, started so far */
    uint32_t worker_max;  /* how many there may be */
};

/* A thread as the runtime knows it. One that ended may be named still: its memory is never given back. */
typedef struct oc_thread_of_runtime* oc_self;

struct oc_table {
    uint32_t magic, version;
    uint64_t bytes;
    /* Suspends the caller until unpark(self) or deadline_ns (CLOCK_MONOTONIC; ~0: none). Takes a permit that an earlier unpark
     * left and returns at once. 0; -ETIMEDOUT; -EINTR when a signal handler ran; -ENOSYS while the process has one thread. */
    long (*park)(oc_self self, uint64_t deadline_ns, uint64_t reason);
    /* Lets `whom` go on from its park, or leaves it one permit. */
    long (*unpark)(oc_self self, oc_self whom);
    /* Lets others run. */
    long (*yield)(oc_self self);
    long (*info)(oc_self self, struct oc_runtime_info* out, uint64_t bytes);
    /* unpark(whom), then park(self, no deadline, reason); `whom` goes on at once on this worker if it waited. As park. */
    long (*hand_over)(oc_self self, oc_self whom, uint64_t reason);
    /* The number of the system call in which `whom` is suspended at this moment; -EAGAIN: in none. */
    long (*waiting_call)(oc_self self, oc_self whom);
    /* A thread may put off one unpark: it writes whom into the word at self + owed, provided that it then finds the worker that
     * runs it (at self + worker) ticking (the word at worker + tick is not 0). The runtime makes the unpark and empties the word as
     * soon as something else can run on that worker; the thread may take it back before. */
    uint64_t owed, worker, tick;
    /* From its next wait on the caller comes before those of larger priority when several are ready; 0 is what threads have. */
    long (*rank)(oc_self self, long priority);
};

struct oc_table_where {
    const struct oc_table* table;
    oc_self self;
};
#endif
