// monitor.h - the thread that takes the queue of a worker stuck in the kernel (after Go's sysmon)
//
// A worker blocked in the kernel while it runs a coroutine (a call nobody expected to wait, a page fault on a slow disk)
// holds one of the -w N places among the active workers. The monitor looks at all workers every 20 us to 10 ms, the longer
// the less there is to do, and not at all while all of them idle. A worker is stuck when it switched nothing, used no CPU
// and the kernel says that it sleeps, twice in a row, while somebody waits: its place is retaken, a spare worker gets it and
// steals the whole queue.
//
// The worker that comes back finds `retaken`: it takes a free place or that of an idle worker, or else it puts its coroutine
// into the common queue and parks as a spare. If it comes back in guest code and computes on, the monitor kicks it.
// Spares are bounded; one is kept parked, started by the last one that was called up. But a process whose first worker is its only
// one has none: two threads that share descriptors make the kernel count references at every look-up of one, some tenth of
// what a call on a pipe costs. There the worker that is stuck is signalled, and starts the one that takes its place itself; only
// what no signal ends (a fault on a slow disk) has to happen once before a spare is kept for the next time. Where the process
// could wait for itself so, for ever, one is kept from the start (worker_expect_stuck).
//
// The monitor has a descriptor table of its own (for /proc/self/task/TID/stat), so it never occupies a number of the guest's;
// for the same reason it starts no threads once it runs. It begins with a copy of at least the guest's first 64 (fs/file.c, dup_fd), and
// closes that, which for a message queue ends what the process has asked of mq_notify(3) (ipc/mqueue.c, mqueue_flush_file).
#pragma once
#include "runtime/sched/worker.h"

namespace ocrun {

extern std::atomic<u32> g_monitor_asleep;
extern u32 g_monitor_tid;  // its kernel thread, 0: none
void monitor_wake_now();
// After a worker left the idle loop, or a coroutine was made: there is something to watch.
inline void monitor_wake() {
    if (__builtin_expect(g_monitor_asleep.load(std::memory_order_seq_cst), 0)) monitor_wake_now();
}
// The process gets its second coroutine, or has to expect one (enter_multi). Harmless when it runs already or cannot be started.
void monitor_start();
// Behind it the monitor closes nothing of the guest's any more. Blocks for some 100 us; where a file system hangs at the close, for a
// second, after which it may still close.
void monitor_wait_for_own_table();
void monitor_after_fork();
// Has it call `errand` soon, without a lock of the caller's, who may be a vfork child; false when it is not there. One errand at a time.
bool monitor_run(void (*errand)());
// For `everywhere`: how many threads it adds (0 or 1), and a kick.
u32 monitor_threads();
void monitor_kick();

}  // namespace ocrun
