// readiness.cc - the epoll instance and the table of registrations (see readiness.h)
#include "runtime/io/readiness.h"

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/io/pipes.h"
#include "runtime/sched/warm.h"

namespace ocrun {

namespace {

// Events while nobody waits for the descriptor wake the idle worker for nothing, and cost whoever caused them the wake: an event
// loop that is busy gets one for each message. Where that happened several times in a row the kernel is asked for one event at a
// time (EPOLLONESHOT), and only while somebody waits.
enum class Asks : u8 { always, while_awaited };
constexpr u8 kFutileWakes = 8;
constexpr u16 kOneShots = 1000;  // then another try of the other way, which costs no call for each wait

}  // namespace

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

namespace {

constexpr u8 kMostlyWaits = 3;

// Two levels, so that only used parts cost memory.
constexpr u32 kLeafSlots = 1024, kLeaves = 1024;
OC_APART std::atomic<FdState*> g_leaves[kLeaves];
u32 g_leaf_end;  // behind the last leaf there is; only grows, under the lock
Lock g_leaf_lock;

std::atomic<int> g_epoll{-1};
std::atomic<u32> g_registered{0};
Lock g_open_lock;

constexpr u64 kKickTag = ~0ul;

FdState* find(int fd) {
    if (u32(fd) >= kLeafSlots * kLeaves) return nullptr;
    FdState* leaf = g_leaves[u32(fd) / kLeafSlots].load(std::memory_order_acquire);
    return leaf ? &leaf[u32(fd) % kLeafSlots] : nullptr;
}

FdState* find_or_make(int fd) {
    if (u32(fd) >= kLeafSlots * kLeaves) return nullptr;
    if (FdState* state = find(fd)) return state;
    Locked held(g_leaf_lock);
    std::atomic<FdState*>& leaf = g_leaves[u32(fd) / kLeafSlots];
    if (!leaf.load(std::memory_order_relaxed)) {
        FdState* fresh = (FdState*)pages_alloc(kLeafSlots * sizeof(FdState));
        if (!fresh) return nullptr;
        leaf.store(fresh, std::memory_order_release);
        if (u32 end = u32(fd) / kLeafSlots + 1; end > g_leaf_end) __atomic_store_n(&g_leaf_end, end, __ATOMIC_RELEASE);
    }
    return find(fd);
}

// A fresh descriptor to its hidden number; its own error, or that of the move (then it is closed).
long place(long fd, HiddenFd which) {
    if (is_error(fd)) return fd;
    long r = hidden_fd_place(int(fd), which, true);
    if (is_error(r)) sys(__NR_close, fd);
    return r;
}

// The epoll descriptor, made at the first need; -errno when the kernel refuses.
long epoll_fd() {
    int fd = g_epoll.load(std::memory_order_acquire);
    if (fd >= 0) return fd;
    Locked held(g_open_lock);
    fd = g_epoll.load(std::memory_order_relaxed);
    if (fd >= 0) return fd;
    // All or nothing: the idle loop tries again and again when there is no descriptor to spare.
    long r = place(sys(__NR_epoll_create1, EPOLL_CLOEXEC), kHiddenEpoll);
    if (!is_error(r)) r = place(sys(__NR_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK), kHiddenEvent);
    if (!is_error(r)) {
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = kKickTag;
        r = sys(__NR_epoll_ctl, hidden_fd(kHiddenEpoll), EPOLL_CTL_ADD, hidden_fd(kHiddenEvent), &event);
    }
    if (is_error(r)) {
        hidden_fd_close(kHiddenEvent);
        hidden_fd_close(kHiddenEpoll);
        return r;
    }
    g_epoll.store(hidden_fd(kHiddenEpoll), std::memory_order_release);
    return hidden_fd(kHiddenEpoll);
}

constexpr u32 kAlways = EPOLLERR | EPOLLHUP;  // what a waiter is told of whether it asked or not
constexpr u32 kAllEvents = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;

long control(int operation, int fd, u32 events) {
    long ep = epoll_fd();
    if (is_error(ep)) return ep;
    epoll_event event{};
    event.events = events;
    event.data.u64 = u64(fd);
    return sys(__NR_epoll_ctl, ep, operation, fd, &event);
}

// State lock held.
long ask_always(FdState* state, int fd, int operation) {
    long r = control(operation, fd, kAllEvents);
    if (is_error(r)) return r;
    state->asks.store(Asks::always, std::memory_order_relaxed);
    state->futile = 0;
    return r;
}

// State lock held. One event of `events`, at once if it is there already.
long ask_once(FdState* state, int fd, u32 events) {
    long r = control(EPOLL_CTL_MOD, fd, events | EPOLLONESHOT);
    if (is_error(r)) return r;
    state->asks.store(Asks::while_awaited, std::memory_order_relaxed);
    state->armed = u16(events);  // (those of waiters and kAlways, all of them in the lower half)
    return r;
}

// State lock held.
u32 awaited(const FdState* state) {
    u32 events = 0;
    for (const FdWaiter* w = state->waiters; w; w = w->next) events |= w->events | kAlways;
    return events;
}

// Files of the kernel that can be polled (/proc/self/mounts, attributes in /sys, pressure and events of cgroups) say what is new once to
// each description, and asking them here would take it from the guest: who waits for them asks the kernel.
bool tells_once(const FdState* state, int fd) {
    FdKind kind = state->kind.load(std::memory_order_relaxed);
    struct stat st;
    struct statfs fs;
    if ((kind != FdKind::unknown && kind != FdKind::file) || is_error(sys(__NR_fstat, fd, &st)) || !S_ISREG(st.st_mode)) return false;
    if (is_error(sys(__NR_fstatfs, fd, &fs))) return false;
    return fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC;
}

// State lock held. Makes the kernel tell of `events`.
long enrol(FdState* state, int fd, u32 events) {
    events |= kAlways;
    if (!state->registered) {
        if (tells_once(state, fd)) return -EOPNOTSUPP;
        long r = ask_always(state, fd, EPOLL_CTL_ADD);
        if (r == -EEXIST) r = ask_always(state, fd, EPOLL_CTL_MOD);
        if (is_error(r)) return r;
        state->registered = true;
        g_registered.fetch_add(1, std::memory_order_relaxed);
        return 0;
    }
    if (state->asks.load(std::memory_order_relaxed) == Asks::always || !(events & ~state->armed)) return 0;
    bool once = ++state->one_shots < kOneShots;
    if (!once) state->one_shots = 0;
    long r = once ? ask_once(state, fd, events | awaited(state)) : ask_always(state, fd, EPOLL_CTL_MOD);
    return r == -ENOENT ? ask_always(state, fd, EPOLL_CTL_ADD) : r;  // closed behind our back, and open again
}

// Returns whether somebody was woken.
bool on_event(int fd, u32 events) {
    FdState* state = find(fd);
    if (!state) return false;
    Locked held(state->lock);
    if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR | EPOLLPRI)) state->stops_short.store(true, std::memory_order_relaxed);
    state->sequence.fetch_add(1, std::memory_order_release);
    bool woken = false;
    u32 others = 0;
    for (FdWaiter* w = state->waiters; w; w = w->next) {
        if ((w->events | kAlways) & events)
            woken |= wake(w->c, w->token, WakeReason::woken);
        else
            others |= w->events | kAlways;
    }
    if (state->asks.load(std::memory_order_relaxed) == Asks::while_awaited) {
        state->armed = 0;
        if (others && state->registered) ask_once(state, fd, others);
    } else if (woken) {
        state->futile = 0;
    }
    return woken;
}

// What the events of a batch touch is asked for while the ones before them are attended to: the descriptor's state first, then, when that
// has come, who waits there. (That place may be another's by now, or gone: nothing is read from it.)
constexpr long kStateAhead = 8, kWaiterAhead = 4;

FdState* state_of(const epoll_event& event) { return event.data.u64 == kKickTag ? nullptr : find(int(event.data.u64)); }

void look_ahead(const epoll_event* events, long n, long i) {
    if (i + kStateAhead < n)
        if (FdState* state = state_of(events[i + kStateAhead])) __builtin_prefetch(state, 1, 3);
    if (i + kWaiterAhead < n)
        if (FdState* state = state_of(events[i + kWaiterAhead])) warm_waiter(__atomic_load_n(&state->waiters, __ATOMIC_RELAXED));
}

// The idle worker got up for this event, and it was nobody's.
void on_futile_event(int fd) {
    FdState* state = find(fd);
    if (!state) return;
    Locked held(state->lock);
    if (!state->registered || state->asks.load(std::memory_order_relaxed) != Asks::always || ++state->futile < kFutileWakes) return;
    if (!is_error(ask_once(state, fd, awaited(state)))) state->one_shots = 0;
}

// Every event since it was registered is known of.
bool told_of_all(const FdState* state) { return state->registered && state->asks.load(std::memory_order_relaxed) == Asks::always; }

void forget(FdState* state, int fd) {
    Locked held(state->lock);
    if (state->registered) {
        sys(__NR_epoll_ctl, g_epoll.load(std::memory_order_relaxed), EPOLL_CTL_DEL, fd, nullptr);
        state->registered = false;
        g_registered.fetch_sub(1, std::memory_order_relaxed);
    }
    if (state->kind.exchange(FdKind::unknown, std::memory_order_relaxed) == FdKind::pipe && state->pipe) {
        pipe_detach(state->pipe);
        state->pipe = nullptr;
    }
    state->stops_short.store(false, std::memory_order_relaxed);
    state->waits.store(0, std::memory_order_relaxed);
    for (std::atomic<u32>& fact : state->facts) fact.store(0, std::memory_order_relaxed);
    state->sequence.fetch_add(1, std::memory_order_release);
    for (FdWaiter* w = state->waiters; w; w = w->next) wake(w->c, w->token, WakeReason::woken);
}

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

void (*g_waiting_calls_after_fork)(bool shared_files);

FdKind fd_kind(int fd, bool learn) {
    FdState* state = learn ? find_or_make(fd) : find(fd);
    if (!state) return FdKind::unknown;
    FdKind kind = state->kind.load(std::memory_order_acquire);
    if (kind != FdKind::unknown || !learn) return kind;
    u32 sequence = state->sequence.load(std::memory_order_acquire);
    u64 inode = 0;
    kind = ask_kind(fd, &inode);
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
    FdState* state = find(fd);
    return state && state->kind.load(std::memory_order_acquire) == FdKind::file ? &state->position_lock : nullptr;
}

Pipe* fd_pipe(int fd) {
    FdState* state = find(fd);
    return state && state->kind.load(std::memory_order_acquire) == FdKind::pipe ? state->pipe : nullptr;
}

void fd_emptied(int fd, u32 seen, u64 pipe_activity) {
    FdState* state = find(fd);
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

bool fd_known_empty(int fd) {
    FdState* state = find(fd);
    if (!state) return false;
    FdKind kind = state->kind.load(std::memory_order_acquire);
    if (kind != FdKind::pipe && kind != FdKind::stream) return false;
    if (__atomic_load_n(&state->emptied_at, __ATOMIC_RELAXED) != state->sequence.load(std::memory_order_relaxed)) return false;
    Locked held(state->lock);
    return told_of_all(state) && !state->stops_short.load(std::memory_order_relaxed) &&
           state->emptied_at == state->sequence.load(std::memory_order_acquire) &&
           (kind != FdKind::pipe || (state->pipe && state->emptied_activity == u32(state->pipe->activity.load(std::memory_order_acquire))));
}

void fd_note_urgent(int fd) {
    if (FdState* state = find(fd)) state->stops_short.store(true, std::memory_order_relaxed);
}

bool fd_fact(int fd, FdFact fact, u32 changes) {
    FdState* state = find(fd);
    return state && state->facts[int(fact)].load(std::memory_order_acquire) == changes + 1;
}

void fd_note_fact(int fd, FdFact fact, u32 changes, u32 sequence) {
    FdState* state = find(fd);
    if (!state) return;
    Locked held(state->lock);
    if (state->sequence.load(std::memory_order_acquire) == sequence) state->facts[int(fact)].store(changes + 1, std::memory_order_release);
}

void fd_note_try(int fd, bool would_block) {
    FdState* state = find(fd);
    if (!state) return;
    u8 waits = state->waits.load(std::memory_order_relaxed), now = would_block ? waits < kMostlyWaits ? u8(waits + 1) : waits : u8(0);
    if (now != waits) state->waits.store(now, std::memory_order_relaxed);
}

bool fd_mostly_waits(int fd) {
    FdState* state = find(fd);
    return state && state->waits.load(std::memory_order_relaxed) >= kMostlyWaits;
}

u32 fd_sequence(int fd) {
    FdState* state = find(fd);
    return state ? state->sequence.load(std::memory_order_acquire) : 0;
}

bool fd_registered(int fd) {
    FdState* state = find(fd);
    return state && state->registered;
}

long fd_link(FdWaiter* w, u32 seen) {
    w->state = nullptr;
    FdState* state = find_or_make(w->fd);
    if (!state) return -ENOMEM;
    Locked held(state->lock);
    long r = enrol(state, w->fd, w->events);
    if (is_error(r)) return r;
    if (state->sequence.load(std::memory_order_acquire) != seen) return 1;
    w->next = state->waiters;
    w->state = state;
    state->waiters = w;
    return 0;
}

void fd_unlink(FdWaiter* w) {
    FdState* state = w->state;
    if (!state) return;
    Locked held(state->lock);
    for (FdWaiter** at = &state->waiters; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    w->state = nullptr;
}

long fd_wait_begin(FdWaiter* w, Coroutine* c, int fd, u32 events, u32 seen) {
    *w = {};
    w->c = c;
    w->fd = fd;
    w->events = events;
    w->token = wait_begin(c, true);
    long r = fd_link(w, seen);
    w->pipe = r == 0 ? fd_pipe(fd) : nullptr;
    if (w->pipe) pipe_join(w->pipe, w);
    return r;
}

void fd_wait_end(FdWaiter* w) {
    if (w->pipe) pipe_leave(w->pipe, w);
    fd_unlink(w);
}

long fd_wait(Coroutine* c, int fd, u32 events, u32 seen, u64 deadline_ns, WakeReason* why) {
    FdWaiter w;
    long r = fd_wait_begin(&w, c, fd, events, seen);
    if (r != 0) wake(c, w.token, WakeReason::woken);
    *why = wait_park(c, deadline_ns, kWaitsForDescriptor, u64(fd));
    fd_wait_end(&w);
    return is_error(r) ? r : 0;
}

void fd_forget(int fd) {
    // Always under the lock: another worker may be registering the number right now.
    if (FdState* state = find(fd)) forget(state, fd);
}

void fd_forget_range(unsigned first, unsigned last) {
    for (u32 leaf = first / kLeafSlots; leaf < __atomic_load_n(&g_leaf_end, __ATOMIC_ACQUIRE) && u64(leaf) * kLeafSlots <= last; leaf++) {
        if (!g_leaves[leaf].load(std::memory_order_acquire)) continue;
        for (u32 i = 0; i < kLeafSlots; i++) {
            u32 fd = leaf * kLeafSlots + i;
            if (fd >= first && fd <= last) fd_forget(int(fd));
        }
    }
}

void readiness_poll(u64 timeout_ns) {
    bool wait = timeout_ns != 0;
    if (!wait && !g_registered.load(std::memory_order_relaxed)) return;
    // Few enough that what the kernel and look_ahead touched for an event is near when its turn comes, and enough to be worth the call.
    constexpr int kBatch = 32;
    epoll_event events[kBatch];
    long ep = epoll_fd();
    if (is_error(ep)) {
        // No descriptors to spare: sleep in slices, so that timers and signals still work.
        timespec slice{0, 1000000};
        if (wait) oc_syscall_intr(__NR_nanosleep, (long)&slice, 0, 0, 0, 0, 0);
        return;
    }
    timespec limit{time_t(timeout_ns / 1000000000), long(timeout_ns % 1000000000)};
    timespec* t = timeout_ns == kNever ? nullptr : &limit;
    long n = wait ? oc_syscall_intr(__NR_epoll_pwait2, ep, (long)events, kBatch, (long)t, 0, 8)
                  : sys(__NR_epoll_pwait2, ep, events, kBatch, t, nullptr, 8);
    if (n == -ENOSYS) {
        int ms = timeout_ns == kNever ? -1 : int((timeout_ns + 999999) / 1000000);
        n = wait ? oc_syscall_intr(__NR_epoll_pwait, ep, (long)events, kBatch, ms, 0, 8)
                 : sys(__NR_epoll_pwait, ep, events, kBatch, 0, nullptr, 8);
    }
    bool kicked = false, woken = false;
    for (long i = 0; i < n; i++) {
        look_ahead(events, n, i);
        if (events[i].data.u64 == kKickTag)
            kicked = true;
        else
            woken |= on_event(int(events[i].data.u64), events[i].events);
    }
    if (!wait || kicked || woken) return;
    for (long i = 0; i < n; i++) on_futile_event(int(events[i].data.u64));
}

void readiness_kick() {
    // Without an epoll instance nobody sleeps in it yet; making one here keeps the kick from being lost.
    if (is_error(epoll_fd())) return;
    u64 one = 1;
    sys(__NR_write, hidden_fd(kHiddenEvent), &one, sizeof one);
}

void readiness_after_fork(bool shared_files) {
    g_leaf_lock.reset();
    g_open_lock.reset();
    if (g_epoll.load(std::memory_order_relaxed) >= 0) {
        for (HiddenFd which : {kHiddenEpoll, kHiddenEvent}) {
            if (shared_files)
                hidden_fd_adopt(which, -1);
            else
                hidden_fd_close(which);
        }
        g_epoll.store(-1, std::memory_order_relaxed);
    }
    g_registered.store(0, std::memory_order_relaxed);
    pipes_after_fork();
    for (u32 leaf = 0; leaf < g_leaf_end; leaf++) {
        FdState* states = g_leaves[leaf].load(std::memory_order_relaxed);
        if (!states) continue;
        for (u32 i = 0; i < kLeafSlots; i++) {
            states[i].lock.reset();
            states[i].registered = false;
            states[i].waiters = nullptr;
            states[i].stops_short.store(false, std::memory_order_relaxed);
            states[i].kind.store(FdKind::unknown, std::memory_order_relaxed);
            states[i].waits.store(0, std::memory_order_relaxed);
            for (std::atomic<u32>& fact : states[i].facts) fact.store(0, std::memory_order_relaxed);
            states[i].position_lock = 0;
            states[i].pipe = nullptr;
        }
    }
}

}  // namespace ocrun
