// readiness.h - waiting for descriptors: one edge-triggered epoll instance, one registration a descriptor (one-shot where events came
// that nobody waited for)
//
// A caller tries its call without blocking, and on EAGAIN waits here for the next event and tries again. An event between
// the try and the wait is not lost: the caller reads fd_sequence before the try, and a wait with an old sequence returns
// at once. Registrations are dropped before a descriptor number changes its meaning (fd_forget); a stale event is a
// spurious wake at worst. Follows epoll(7).
#pragma once
#include "runtime/context/fd_waiter.h"
#include "runtime/sched/scheduler.h"

namespace ocrun {

// What a descriptor is, as far as calls care; learnt once per number and forgotten with it.
enum class FdKind : u8 {
    unknown,
    other,
    file,    // a regular one, or a block device
    pipe,    // FIFOs too
    stream,  // a TCP socket
    unix_stream,
    socket,  // any other
};
// `learn`: ask the kernel when it is not known yet.
FdKind fd_kind(int fd, bool learn);

// What a descriptor's options were at a count of their changes (Shared::options_changed): calls that wait need not ask again.
enum class FdFact : u8 { blocking, nonblocking, no_receive_timeout, no_send_timeout, kCount };
bool fd_fact(int fd, FdFact fact, u32 changes);
// `sequence`: fd_sequence from before the kernel was asked.
void fd_note_fact(int fd, FdFact fact, u32 changes, u32 sequence);

// A read of a pipe or a TCP socket that gave less than was asked for has emptied it: the next one need not try, it would
// block. `seen`: fd_sequence before the read. Not believed where reads may stop short of what is there: the other end has hung
// up, urgent data came, others than this process use the pipe.
void fd_emptied(int fd, u32 seen, u64 pipe_activity);
bool fd_known_empty(int fd);
// Urgent data was read out of turn: its mark still ends reads, though no event tells of it any more.
void fd_note_urgent(int fd);
// The pipe behind fd (pipes.h), nullptr when it is none or not known. Good until fd is forgotten.
Pipe* fd_pipe(int fd);
// The word of the lock of a file's position (syscalls/read_write.cc), nullptr for what has none or is not known. Always valid.
u32* fd_position_lock(int fd);
// Whether tries on fd lately would have blocked: then it pays to let others run first, who may bring what is waited for.
void fd_note_try(int fd, bool would_block);
bool fd_mostly_waits(int fd);

// Changes with every event on the descriptor.
u32 fd_sequence(int fd);

// A call has waited for this descriptor since its number got its present meaning.
bool fd_registered(int fd);

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
