// fd_waiter.h - a place among those who wait for a descriptor (io/readiness.h), and in the list of calls that do (syscalls/io_wait.h)
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

struct Coroutine;
struct FdState;
struct Pipe;

struct FdWaiter {
    Coroutine* c;
    u64 token;
    int fd;
    u32 events;      // EPOLLIN, EPOLLOUT, EPOLLPRI; errors and hang-ups always count
    FdWaiter* next;
    FdState* state;  // whose place it is (io/fd_state.h), nullptr: nobody's, it is not linked
    Pipe* pipe;      // that it waits for besides, nullptr: none (io/pipes.h)
    FdWaiter* next_in_pipe;
};

// A call's descriptor. Who closes the number while the call waits gives it one of its own (`kept`).
struct WaitingCall {
    int fd;
    int kept;  // -1: none
    bool own;  // fd is one that it was given earlier
    WaitingCall* next;
    WaitingCall** link;  // what points to this one in its list
};

struct DescriptorWait {
    FdWaiter waiter;
    WaitingCall call;
};

}  // namespace ocrun
