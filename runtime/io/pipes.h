// pipes.h - what this process knows of the pipes it uses: who waits for them, and how much should be in them
//
// A pipe that both writer and reader of this process use needs no detour through epoll: a write wakes the reader. And as long as
// the bytes written and read here account for all there are, a call that will not block can be made in its plain form, which
// is cheaper than the one that promises not to. All of it is a hint: other processes read and write too. A call that
// blocked after all is ended by the tick and the pipe is no longer trusted (pipe_distrust).
#pragma once
#include "runtime/context/fd_waiter.h"
#include "runtime/sched/scheduler.h"

namespace ocrun {

struct Pipe {
    u64 inode;      // guarded by the table's lock
    u32 users;      // descriptors and waiters that refer to it; the same lock
    Lock lock;
    FdWaiter* waiters;
    std::atomic<u32> waiting;
    std::atomic<u64> activity;  // counts writes
    std::atomic<i64> balance;   // bytes that should be in it; below zero: not trusted
};

// The entry of a pipe (or FIFO) by its inode; nullptr when the table is full. `inside`: bytes in it now.
Pipe* pipe_attach(u64 inode, i64 inside);
void pipe_detach(Pipe* p);

void pipe_join(Pipe* p, FdWaiter* w);
void pipe_leave(Pipe* p, FdWaiter* w);
// After a write (read) of so many bytes: the balance, and those who wait for that are woken.
void pipe_wrote(Pipe* p, u64 bytes);
void pipe_took(Pipe* p, u64 bytes);

// Nothing is in it, if only this process uses it.
inline bool pipe_accounted_empty(const Pipe* p) { return p->balance.load(std::memory_order_relaxed) == 0; }
// A plain read would find something; a plain write of `bytes` would find room.
inline bool pipe_has_bytes(const Pipe* p) { return p->balance.load(std::memory_order_relaxed) > 0; }
inline bool pipe_has_room(const Pipe* p, u64 bytes) {
    // A page of sixteen: what is there may begin and end within pages.
    constexpr i64 kSafe = 4096;
    i64 inside = p->balance.load(std::memory_order_relaxed);
    return inside >= 0 && bytes <= u64(kSafe) && inside + i64(bytes) <= kSafe;
}
inline void pipe_distrust(Pipe* p) { p->balance.store(-(1l << 62), std::memory_order_relaxed); }

void pipes_after_fork();

}  // namespace ocrun
