// fd_state.cc - see fd_state.h
#include "runtime/io/fd_state.h"

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "runtime/base/memory.h"
#include "runtime/io/pipes.h"

namespace ocrun {

OC_APART std::atomic<FdState*> g_fd_leaves[kFdLeaves];
std::atomic<u32> g_fd_leaf_end{0};

namespace {

Lock g_leaf_lock;

// Every event since it was registered is known of.
bool told_of_all(const FdState* state) { return state->registered && state->asks.load(std::memory_order_relaxed) == Asks::always; }

FdKind ask_kind(int fd, u64* inode) {
    struct stat st;
    if (is_error(sys(__NR_fstat, fd, &st))) return FdKind::unknown;
    *inode = st.st_ino;
    if (S_ISFIFO(st.st_mode)) return FdKind::pipe;
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) return FdKind::file;
    if (!S_ISSOCK(st.st_mode)) return FdKind::other;
    i32 domain, type;
    u32 size = sizeof domain;
    if (is_error(sys(__NR_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &size))) return FdKind::socket;
    size = sizeof type;
    if (is_error(sys(__NR_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &size)) || type != SOCK_STREAM) return FdKind::socket;
    return domain == AF_UNIX ? FdKind::unix_stream : domain == AF_INET || domain == AF_INET6 ? FdKind::stream : FdKind::socket;
}

}  // namespace

FdState* fd_state_make(int fd) {
    if (u32(fd) >= kFdLeafSlots * kFdLeaves) return nullptr;
    if (FdState* state = fd_state(fd)) return state;
    Locked held(g_leaf_lock);
    std::atomic<FdState*>& leaf = g_fd_leaves[u32(fd) / kFdLeafSlots];
    if (!leaf.load(std::memory_order_relaxed)) {
        FdState* fresh = (FdState*)pages_alloc(kFdLeafSlots * sizeof(FdState));
        if (!fresh) return nullptr;
        leaf.store(fresh, std::memory_order_release);
        u32 end = u32(fd) / kFdLeafSlots + 1;
        if (end > g_fd_leaf_end.load(std::memory_order_relaxed)) g_fd_leaf_end.store(end, std::memory_order_release);
    }
    return fd_state(fd);
}

void fd_states_after_fork() {
    g_leaf_lock.reset();
    each_fd_state(0, ~0u, [](FdState* state, int) {
        state->lock.reset();
        state->registered = false;
        state->waiters = nullptr;
        state->stops_short.store(false, std::memory_order_relaxed);
        state->kind.store(FdKind::unknown, std::memory_order_relaxed);
        state->waits.store(0, std::memory_order_relaxed);
        for (std::atomic<u32>& fact : state->facts) fact.store(0, std::memory_order_relaxed);
        state->position_lock = 0;
        state->pipe = nullptr;
    });
}

FdKind fd_learn_kind(int fd) {
    FdState* state = fd_state_make(fd);
    if (!state) return FdKind::unknown;
    u32 sequence = state->sequence.load(std::memory_order_acquire);
    u64 inode = 0;
    FdKind kind = ask_kind(fd, &inode);
    if (kind == FdKind::unknown) return kind;
    Locked held(state->lock);
    // The number changed its meaning meanwhile: what was asked may be about the file before.
    if (state->sequence.load(std::memory_order_acquire) != sequence) return FdKind::unknown;
    if (FdKind known = state->kind.load(std::memory_order_relaxed); known != FdKind::unknown) return known;
    if (kind == FdKind::pipe) {
        i32 inside = 0;
        sys(__NR_ioctl, fd, FIONREAD, &inside);
        state->pipe = pipe_attach(inode, inside);
    }
    state->emptied_activity = 0;
    state->emptied_at = sequence - 1;
    state->kind.store(kind, std::memory_order_release);
    return kind;
}

u32* fd_position_lock(int fd) {
    FdState* state = fd_state(fd);
    return state && state->kind.load(std::memory_order_acquire) == FdKind::file ? &state->position_lock : nullptr;
}

void fd_emptied(int fd, u32 seen, u64 pipe_activity) {
    FdState* state = fd_state(fd);
    if (!state || !told_of_all(state) || state->stops_short.load(std::memory_order_relaxed)) return;
    FdKind kind = state->kind.load(std::memory_order_relaxed);
    if (kind != FdKind::pipe && kind != FdKind::stream) return;
    Locked held(state->lock);
    // A pipe in packet mode gives one packet, and whether it is in that mode only its writer knows; a buffer may end before the
    // data. What this process wrote and read has to account for all of it.
    if (kind == FdKind::pipe && !(state->pipe && pipe_accounted_empty(state->pipe))) return;
    state->emptied_at = seen;
    state->emptied_activity = u32(pipe_activity);
}

bool fd_is_empty(FdState* state) {
    FdKind kind = state->kind.load(std::memory_order_acquire);
    if (kind != FdKind::pipe && kind != FdKind::stream) return false;
    Locked held(state->lock);
    return told_of_all(state) && !state->stops_short.load(std::memory_order_relaxed) &&
           state->emptied_at == state->sequence.load(std::memory_order_acquire) &&
           (kind != FdKind::pipe || (state->pipe && state->emptied_activity == u32(state->pipe->activity.load(std::memory_order_acquire))));
}

void fd_note_urgent(int fd) {
    if (FdState* state = fd_state(fd)) state->stops_short.store(true, std::memory_order_relaxed);
}

void fd_note_fact(int fd, FdFact fact, u32 changes, u32 sequence) {
    FdState* state = fd_state(fd);
    if (!state) return;
    Locked held(state->lock);
    if (state->sequence.load(std::memory_order_acquire) == sequence) state->facts[int(fact)].store(changes + 1, std::memory_order_release);
}

}  // namespace ocrun
