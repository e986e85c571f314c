// readiness.h - waiting for descriptors: one edge-triggered epoll instance, one registration a descriptor (one-shot where events came
// that nobody waited for)
//
// A caller tries its call without blocking, and on EAGAIN waits here for the next event and tries again. An event between
// the try and the wait is not lost: the caller reads fd_sequence before the try, and a wait with an old sequence returns
// at once. Registrations are dropped before a descriptor number changes its meaning (fd_forget); a stale event is a
// spurious wake at worst. Follows epoll(7).
#pragma once
#include "runtime/context/fd_waiter.h"
#include "runtime/io/fd_state.h"
#include "runtime/sched/scheduler.h"

namespace ocrun {

// Waits for `events` on fd. Returns 0 and the reason in *why (woken, timeout, signal); -EPERM when the descriptor has no
// readiness (regular files, directories), -EBADF and others from epoll_ctl.
long fd_wait(Coroutine* c, int fd, u32 events, u32 seen, u64 deadline_ns, WakeReason* why);
// The same in parts: wait_begin with what follows, up to the park (fd_link's result: anything but 0 is no reason to park), and what is left
// to do behind it.
long fd_wait_begin(FdWaiter* w, Coroutine* c, int fd, u32 events, u32 seen);
void fd_wait_end(FdWaiter* w);

// The parts, for waiting on many descriptors at once: between wait_begin and wait_park link every waiter; returns 0, 1
// when an event passed since `seen` (do not park), or -errno. After the wait unlink all.
long fd_link(FdWaiter* w, u32 seen);
void fd_unlink(FdWaiter* w);

// fd is about to be closed or replaced (or every fd of the range).
void fd_forget(int fd);
void fd_forget_range(unsigned first, unsigned last);

// Set by syscalls/io_wait.cc while calls that wait have descriptors of their own: in the child of a fork, whose are none of those calls,
// before their stacks are given up. shared_files as below.
extern void (*g_waiting_calls_after_fork)(bool shared_files);

// SchedulerHooks::poll_io and kick.
void readiness_poll(u64 timeout_ns);
void readiness_kick();
// shared_files: the child uses its parent's descriptor table (CLONE_FILES), so what is the parent's stays open.
void readiness_after_fork(bool shared_files);

}  // namespace ocrun
