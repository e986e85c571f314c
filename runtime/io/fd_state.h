// fd_state.h - what is known of a descriptor number: what is behind it, its options, who waits for it, and whether it was read empty
//
// All of it is forgotten when the number changes its meaning (fd_forget in readiness.h).
#pragma once
#include <atomic>

#include "runtime/base/lock.h"
#include "runtime/context/fd_waiter.h"

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

// What a descriptor's options were at a count of their changes (Shared::options_changed): calls that wait need not ask again.
enum class FdFact : u8 { blocking, nonblocking, no_receive_timeout, no_send_timeout, kCount };

// Events while nobody waits for the descriptor wake the idle worker for nothing, and cost whoever caused them the wake: an event
// loop that is busy gets one for each message. Where that happened several times in a row the kernel is asked for one event at a
// time (EPOLLONESHOT), and only while somebody waits.
enum class Asks : u8 { always, while_awaited };

// One line of the cache: with very many descriptors it is in none when its event comes.
struct alignas(64) FdState {
    Lock lock;
    std::atomic<u32> sequence;
    FdWaiter* waiters;
    Pipe* pipe;                     // the pipe's entry, if it is one and there was room
    std::atomic<u32> facts[int(FdFact::kCount)];  // 1 + the count of changes at which each held; 0: not known
    u32 position_lock;              // of ParkingLock (sync/futex.h), held through a read or write at the file's own position
    u32 emptied_at;                 // the sequence at which it was read empty; only the reader's hint
    u32 emptied_activity;           // and the pipe's count of writes then, its lower half
    u16 armed;                      // Asks::while_awaited: the events that the kernel will tell of
    u16 one_shots;
    bool registered;
    std::atomic<Asks> asks;
    u8 futile;                      // wakes of the idle worker in a row that were nobody's
    std::atomic<FdKind> kind;
    std::atomic<bool> stops_short;  // an end, an error or urgent data came: there may be more to read than events and short reads tell
    std::atomic<u8> waits;          // tries in a row that would have blocked, up to kMostlyWaits
};
static_assert(sizeof(FdState) == 64);

// Two levels, so that only used parts cost memory.
inline constexpr u32 kFdLeafSlots = 1024, kFdLeaves = 1024;
extern std::atomic<FdState*> g_fd_leaves[kFdLeaves];
extern std::atomic<u32> g_fd_leaf_end;  // behind the last leaf there is; only grows

// nullptr: nothing is known. Once made it stays.
inline FdState* fd_state(int fd) {
    if (u32(fd) >= kFdLeafSlots * kFdLeaves) return nullptr;
    FdState* leaf = g_fd_leaves[u32(fd) / kFdLeafSlots].load(std::memory_order_acquire);
    return leaf ? &leaf[u32(fd) % kFdLeafSlots] : nullptr;
}
// nullptr: no memory, or no descriptor's number.
FdState* fd_state_make(int fd);
// use(state, fd) for those of [first, last] that there are.
template <class Use>
void each_fd_state(u32 first, u32 last, Use use) {
    for (u32 leaf = first / kFdLeafSlots; leaf < g_fd_leaf_end.load(std::memory_order_acquire) && u64(leaf) * kFdLeafSlots <= last; leaf++) {
        FdState* states = g_fd_leaves[leaf].load(std::memory_order_acquire);
        for (u32 i = 0; states && i < kFdLeafSlots; i++) {
            u32 fd = leaf * kFdLeafSlots + i;
            if (fd >= first && fd <= last) use(&states[i], int(fd));
        }
    }
}
void fd_states_after_fork();

// Asks the kernel.
FdKind fd_learn_kind(int fd);
// `learn`: ask the kernel when it is not known yet.
inline FdKind fd_kind(int fd, bool learn) {
    FdState* state = fd_state(fd);
    FdKind kind = state ? state->kind.load(std::memory_order_acquire) : FdKind::unknown;
    return kind == FdKind::unknown && learn ? fd_learn_kind(fd) : kind;
}

inline bool fd_fact(int fd, FdFact fact, u32 changes) {
    FdState* state = fd_state(fd);
    return state && state->facts[int(fact)].load(std::memory_order_acquire) == changes + 1;
}
// `sequence`: fd_sequence from before the kernel was asked.
void fd_note_fact(int fd, FdFact fact, u32 changes, u32 sequence);

// A read of a pipe or a TCP socket that gave less than was asked for has emptied it: the next one need not try, it would
// block. `seen`: fd_sequence before the read. Not believed where reads may stop short of what is there: the other end has hung
// up, urgent data came, others than this process use the pipe.
void fd_emptied(int fd, u32 seen, u64 pipe_activity);
bool fd_is_empty(FdState* state);
inline bool fd_known_empty(int fd) {
    FdState* state = fd_state(fd);
    return state && __atomic_load_n(&state->emptied_at, __ATOMIC_RELAXED) == state->sequence.load(std::memory_order_relaxed) && fd_is_empty(state);
}
// Urgent data was read out of turn: its mark still ends reads, though no event tells of it any more.
void fd_note_urgent(int fd);
// The pipe behind fd (pipes.h), nullptr when it is none or not known. Good until fd is forgotten.
inline Pipe* fd_pipe(int fd) {
    FdState* state = fd_state(fd);
    return state && state->kind.load(std::memory_order_acquire) == FdKind::pipe ? state->pipe : nullptr;
}
// The word of the lock of a file's position (syscalls/read_write.cc), nullptr for what has none or is not known. Always valid.
u32* fd_position_lock(int fd);

// Whether tries on fd lately would have blocked: then it pays to let others run first, who may bring what is waited for.
inline constexpr u8 kMostlyWaits = 3;
inline void fd_note_try(int fd, bool would_block) {
    FdState* state = fd_state(fd);
    if (!state) return;
    u8 waits = state->waits.load(std::memory_order_relaxed), now = would_block ? waits < kMostlyWaits ? u8(waits + 1) : waits : u8(0);
    if (now != waits) state->waits.store(now, std::memory_order_relaxed);
}
inline bool fd_mostly_waits(int fd) {
    FdState* state = fd_state(fd);
    return state && state->waits.load(std::memory_order_relaxed) >= kMostlyWaits;
}

// Changes with every event on the descriptor.
inline u32 fd_sequence(int fd) {
    FdState* state = fd_state(fd);
    return state ? state->sequence.load(std::memory_order_acquire) : 0;
}

// A call has waited for this descriptor since its number got its present meaning.
inline bool fd_registered(int fd) {
    FdState* state = fd_state(fd);
    return state && state->registered;
}

}  // namespace ocrun
