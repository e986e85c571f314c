// workers_internal.h - what scheduler.cc, idle.cc, workers.cc and world.cc know of each other
#pragma once
#include "runtime/sched/workers.h"

namespace ocrun {

// workers.cc: idle workers asleep.
bool sleeper_wake();  // one of them gets up; false: none sleeps
bool sleeper_exists();
void sleeper_register(KThread* t);
void sleeper_unregister(KThread* t);
// One more active worker: a parked spare, or a new one. False: all places are taken, or it cannot be had.
bool worker_start_one();
// Workers that compute without ticks, or with rare ones, look for news now, and have ticks again while there may be some.
void worker_rouse();

// Places: at most -w N workers are active; who has none is stuck in the kernel or a spare (sched/monitor.h).
bool worker_retake(KThread* t);  // t loses its place; false: it had none
// The calling worker wants its place back, a free one or (when it has something to run) that of an idle worker: true when it
// has one now.
bool worker_reclaim(bool has_work);
// The calling worker sleeps until it is given a place. Its queue is empty.
void spare_park();
void worker_ensure_spare();
// As worker_ensure_spare, if worker_expect_stuck was called before the process had a second thread.
void worker_ensure_wanted_spare();
// A spare is there, or was and will be again (a process of one worker has none: a second thread that shares its descriptors
// makes every look-up of one dearer).
bool worker_may_take_over();

// world.cc
bool world_stopping();
void world_after_fork();
// Held where kernel threads are started and counted, and through a whole world stop.
extern Lock g_start_lock;
// The pinned coroutine is gone: so is its thread.
[[noreturn]] void pinned_thread_ends();
// The calling worker holds nothing while it sleeps: a world stop need not wait for it.
class AsleepAway {
public:
    AsleepAway() { worker_set_away(); }
    ~AsleepAway() { worker_away(false); }
    AsleepAway(const AsleepAway&) = delete;
    AsleepAway& operator=(const AsleepAway&) = delete;

private:
    static void worker_set_away();
};
// A kernel thread of ours that never runs guest code; nullptr when it cannot be had.
KThread* helper_start(ThreadKind kind, void (*main)(void*));

// scheduler.cc
void worker_starts(KThread* t);  // signal mask and idle fiber of a new worker
[[noreturn]] void idle_loop();
void idle_work();  // SchedulerHooks::idle
void call_for_help();
bool work_waits();
bool somebody_idle();
// An idle worker that sleeps as the poller, or nullptr.
KThread* idle_poller();
// Makes it get up.
void kick_poller(KThread* poller);
// A timer was armed after the poller went to sleep until a later one: makes it look again.
void poller_check_timers();
// c waits for time or a descriptor, which the caller does not look at: somebody has to.
void call_for_a_look();

}  // namespace ocrun
