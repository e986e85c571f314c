// readiness.cc - the epoll instance and what it is told (see readiness.h)
#include "runtime/io/readiness.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/io/pipes.h"
#include "runtime/sched/warm.h"

namespace ocrun {

namespace {

constexpr u8 kFutileWakes = 8;  // Asks
constexpr u16 kOneShots = 1000;  // then another try of the other way, which costs no call for each wait

std::atomic<int> g_epoll{-1};
std::atomic<u32> g_registered{0};
Lock g_open_lock;

constexpr u64 kKickTag = ~0ul;

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
    FdState* state = fd_state(fd);
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

FdState* state_of(const epoll_event& event) { return event.data.u64 == kKickTag ? nullptr : fd_state(int(event.data.u64)); }

void look_ahead(const epoll_event* events, long n, long i) {
    if (i + kStateAhead < n)
        if (FdState* state = state_of(events[i + kStateAhead])) __builtin_prefetch(state, 1, 3);
    if (i + kWaiterAhead < n)
        if (FdState* state = state_of(events[i + kWaiterAhead])) warm_waiter(__atomic_load_n(&state->waiters, __ATOMIC_RELAXED));
}

// The idle worker got up for this event, and it was nobody's.
void on_futile_event(int fd) {
    FdState* state = fd_state(fd);
    if (!state) return;
    Locked held(state->lock);
    if (!state->registered || state->asks.load(std::memory_order_relaxed) != Asks::always || ++state->futile < kFutileWakes) return;
    if (!is_error(ask_once(state, fd, awaited(state)))) state->one_shots = 0;
}

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

}  // namespace

void (*g_waiting_calls_after_fork)(bool shared_files);

long fd_link(FdWaiter* w, u32 seen) {
    w->state = nullptr;
    FdState* state = fd_state_make(w->fd);
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
    if (FdState* state = fd_state(fd)) forget(state, fd);
}

void fd_forget_range(unsigned first, unsigned last) { each_fd_state(first, last, forget); }

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
    fd_states_after_fork();
}

}  // namespace ocrun
