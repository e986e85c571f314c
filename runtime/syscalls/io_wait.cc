// io_wait.cc - see io_wait.h
#include "runtime/syscalls/io_wait.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/host/handoff.h"

namespace ocrun {

namespace {

constexpr u64 kMaxVectors = 1024;  // UIO_MAXIOV

}  // namespace

u64 socket_deadline(int fd, int option, bool* socket) {
    struct {
        i64 seconds, microseconds;
    } t{};
    u32 size = sizeof t;
    *socket = !is_error(sys(__NR_getsockopt, fd, SOL_SOCKET, option, &t, &size));
    if (!*socket || (t.seconds <= 0 && t.microseconds <= 0)) return kNever;
    constexpr i64 kFar = 1l << 31;
    return now_or_later_ns() + u64(t.seconds < kFar ? t.seconds : kFar) * 1000000000ul + u64(t.microseconds) * 1000;
}

bool ready_now(int fd, short events) {
    pollfd p{fd, events, 0};
    // A tick makes even a poll that does not wait return EINTR.
    for (long r;;)
        if ((r = sys(__NR_poll, &p, 1, 0)) != -EINTR) return r != 0;
}

namespace {

// Calls that wait for a descriptor, by its number. `forks`: g_forks of the process whose they are; nobody waits in the child of a fork.
struct WaitList {
    Lock lock;
    u32 forks = 0;
    WaitingCall* first = nullptr;
};
// So many that ten thousand connections have one each: who shares one writes to the others' places in it, which are in no cache.
constexpr u32 kWaitLists = 16384;
OC_APART constinit WaitList g_waiting[kWaitLists];
std::atomic<u32> g_lists_end{0};  // behind the last one ever used

std::atomic<u32> g_kept{0};  // descriptors given to calls that wait, by who closed their number

WaitList& list_of(unsigned fd) { return g_waiting[fd % kWaitLists]; }

// Lock held.
void forget_parent(WaitList& list) {
    if (list.forks == g_forks) return;
    list.forks = g_forks;
    list.first = nullptr;
}

}  // namespace

void io_wait_after_fork(bool shared_files) {
    if (!g_kept.exchange(0, std::memory_order_relaxed)) return;
    for (WaitList& list : g_waiting) {
        if (&list - g_waiting >= g_lists_end.load(std::memory_order_relaxed)) break;
        list.lock.reset();
        // What an earlier process of the line left here (forget_parent) lies on stacks that are gone.
        for (WaitingCall* w = list.forks == g_forks - 1 ? list.first : nullptr; w && !shared_files; w = w->next) {
            if (w->kept >= 0) sys(__NR_close, w->kept);
            if (w->own) sys(__NR_close, w->fd);
        }
        list.forks = g_forks;
        list.first = nullptr;
    }
}

void io_wait_keep_files(unsigned first, unsigned last) {
    // One number is in one list; thousands of threads may be waiting in the others.
    u32 lists = last - first < kWaitLists ? last - first + 1 : kWaitLists, end = g_lists_end.load(std::memory_order_seq_cst);
    for (u32 i = 0; i < lists; i++) {
        WaitList& list = list_of(first + i);
        if (&list - g_waiting >= end) {
            u32 left = kWaitLists - u32(&list - g_waiting);  // to the first list
            i += left - 1;
            continue;
        }
        if (!__atomic_load_n(&list.first, __ATOMIC_RELAXED)) continue;
        Locked held(list.lock);
        forget_parent(list);
        for (WaitingCall* w = list.first; w; w = w->next) {
            if (unsigned(w->fd) < first || unsigned(w->fd) > last || w->kept >= 0) continue;
            // Beyond the runtime's own numbers, where no program counts on the next free one. Without room the waiter
            // finds its number closed.
            long copy = sys(__NR_fcntl, w->fd, F_DUPFD_CLOEXEC, hidden_fd_base() + kHiddenFdCount);
            if (is_error(copy)) continue;
            w->kept = int(copy);
            g_kept.fetch_add(1, std::memory_order_relaxed);
            __atomic_store_n(&g_waiting_calls_after_fork, &io_wait_after_fork, __ATOMIC_RELAXED);
        }
    }
}

namespace {

void enlist(WaitingCall* w) {
    WaitList& list = list_of(unsigned(w->fd));
    Locked held(list.lock);
    forget_parent(list);
    u32 end = u32(&list - g_waiting) + 1;
    for (u32 seen = g_lists_end.load(std::memory_order_relaxed); seen < end;)
        if (g_lists_end.compare_exchange_weak(seen, end, std::memory_order_seq_cst)) break;
    w->next = list.first;
    if (w->next) w->next->link = &w->next;
    w->link = &list.first;
    __atomic_store_n(&list.first, w, __ATOMIC_RELAXED);
}

void withdraw(WaitingCall* w) {
    Locked held(list_of(unsigned(w->fd)).lock);
    __atomic_store_n(w->link, w->next, __ATOMIC_RELAXED);
    if (w->next) w->next->link = w->link;
}

}  // namespace

void IoWait::give_back() {
    fd_forget(here_.fd);
    sys(__NR_close, here_.fd);
    call_.a[index_] = number_;
    g_kept.fetch_sub(1, std::memory_order_relaxed);
}

void note_options_changed() { __atomic_fetch_add(&tree_shared()->options_changed, 1, __ATOMIC_SEQ_CST); }

namespace {

// A policy may leave these calls to the kernel: then nobody counts.
bool options_are_counted() {
    for (u32 nr : {__NR_fcntl, __NR_ioctl, __NR_setsockopt})
        if (g_policy->rules[nr].action == Action::native) return false;
    return true;
}

}  // namespace

void note_nonblocking(int fd) {
    if (options_are_counted() && fd_kind(fd, true) != FdKind::unknown)
        fd_note_fact(fd, FdFact::nonblocking, options_changed(), fd_sequence(fd));
}

void IoWait::look() {
    if (looked_) return;
    looked_ = true;
    FdKind kind = fd_kind(here_.fd, true);
    FdFact timeout = timeout_option_ == SO_RCVTIMEO ? FdFact::no_receive_timeout : FdFact::no_send_timeout;
    // Sockets are rarely shared with programs outside of the tree, whose changes nobody counts; pipes and ttys often are.
    bool counted = (kind == FdKind::stream || kind == FdKind::unix_stream) && options_are_counted();
    u32 changes = options_changed(), sequence = fd_sequence(here_.fd);
    if (counted && fd_fact(here_.fd, FdFact::blocking, changes) && fd_fact(here_.fd, timeout, changes)) {
        socket_ = true;
        return;
    }
    long flags = sys(__NR_fcntl, here_.fd, F_GETFL);
    nonblocking_ = !is_error(flags) && (flags & O_NONBLOCK);
    if (counted && !is_error(flags)) fd_note_fact(here_.fd, nonblocking_ ? FdFact::nonblocking : FdFact::blocking, changes, sequence);
    if (kind == FdKind::pipe || kind == FdKind::other || kind == FdKind::file) return;  // only sockets have time-outs
    deadline_ns_ = socket_deadline(here_.fd, timeout_option_, &socket_);
    if (counted && socket_ && deadline_ns_ == kNever) fd_note_fact(here_.fd, timeout, changes, sequence);
}

bool IoWait::known_empty() {
    if (looked_ || !fd_known_empty(here_.fd)) return false;
    look();
    return !nonblocking_;
}

bool IoWait::nonblocking() {
    look();
    return nonblocking_;
}

bool IoWait::is_socket() {
    look();
    return socket_;
}

long IoWait::interrupted() {
    look();
    return deadline_ns_ == kNever ? kRestartSys : -EINTR;
}

bool IoWait::error_waits() const {
    pollfd p{here_.fd, 0, 0};
    while (sys(__NR_poll, &p, 1, 0) == -EINTR) {
    }
    return p.revents & POLLERR;
}

// The number was closed meanwhile: on with a descriptor of the call's own.
void IoWait::take_kept() {
    if (here_.kept < 0) return;
    if (here_.own) g_kept.fetch_sub(1, std::memory_order_relaxed);
    here_.own = true;  // an earlier one was closed by whoever closed its number
    here_.fd = here_.kept;
    here_.kept = -1;
    call_.a[index_] = u64(here_.fd);
}

void IoWait::behind_park() {
    DescriptorWait* d = &call_.c->descriptor;
    wait_ended(call_.c);
    fd_wait_end(&d->waiter);
    withdraw(&d->call);
    here_ = d->call;
    take_kept();
    // The call waits, whatever was made of the description meanwhile.
    looked_ = true;
    FdKind kind = fd_kind(here_.fd, false);
    socket_ = kind == FdKind::stream || kind == FdKind::unix_stream || kind == FdKind::socket;
}

long IoWait::block(long (*resume)(Coroutine*)) {
    look();
    if (nonblocking_) return kNonBlocking;
    fd_note_try(here_.fd, true);
    if (timed_out_) return -EAGAIN;
    if (signal_pending(call_.c)) return interrupted();
    // Of an end of writing alone (shutdown(2) of this end, or of the other's reading) epoll tells nothing while a local socket is full:
    // unix_poll knows no such event.
    constexpr u64 kLookAgainNs = 250000000;
    FdKind kind = fd_kind(here_.fd, false);
    u64 until = deadline_ns_;
    if ((events_ & EPOLLOUT) && (kind == FdKind::unix_stream || kind == FdKind::socket)) {
        u64 look = now_ns() + kLookAgainNs;
        if (look < until) until = look;
    }
    Coroutine* c = call_.c;
    bool leaves = resume && c->leaves_stack && until == kNever && !here_.own;
    FdWaiter own;
    FdWaiter* w = leaves ? &c->descriptor.waiter : &own;
    WaitingCall* place = leaves ? &c->descriptor.call : &here_;
    if (leaves) *place = here_;
    enlist(place);
    long r = fd_wait_begin(w, c, here_.fd, events_, seen_);
    if (leaves && r == 0) {
        wait_prepare(c, kNever, kWaitsForDescriptor, u64(here_.fd), resume);
        return kParks;
    }
    if (r != 0) wake(c, w->token, WakeReason::woken);
    WakeReason why = wait_park(c, until, kWaitsForDescriptor, u64(here_.fd));
    fd_wait_end(w);
    withdraw(place);
    if (leaves) here_ = *place;
    bool closed = here_.kept >= 0;
    take_kept();
    if (!closed && is_error(r) && r != -EBADF) return kNoReadiness;  // a closed number: the next try says so
    // As in the kernel, what came at the last moment still counts: one more try after a signal and after the
    // deadline.
    if (why == WakeReason::timeout && until == deadline_ns_) timed_out_ = true;
    return 0;
}

IntrResult native_as_guest(Call& call, bool for_long) {
    u64 host = this_thread()->host_mask, wanted = call.c->mask;
    for (int sig : {SIGTTIN, SIGTTOU})
        if (g_actions[sig].handler == (u64)SIG_IGN) wanted |= signal_bit(sig);
    wanted &= (signal_bit(SIGTTIN) | signal_bit(SIGTTOU)) & ~host;
    const u64* a = call.a;
    auto make = [&] {
        if (for_long) return blocking_syscall(call.nr, a);
        return oc_syscall_intr_told(call.nr, (long)a[0], (long)a[1], (long)a[2], (long)a[3], (long)a[4], (long)a[5]);
    };
    if (!wanted) return make();
    // Nothing may look at latched signals in between: that may set the mask.
    host_set_mask(host | wanted);
    IntrResult r = make();
    host_set_mask(host);
    return r;
}

long blocking_io(Call& call, int timeout_option) {
    for (;;) {
        IntrResult r = native_as_guest(call, true);
        if (r.result != -EINTR) return r.result;
        attend();
        if (!signal_pending(call.c)) continue;
        if (!r.begun) return kRestartNoIntr;
        bool socket;
        return socket_deadline(int(call.a[0]), timeout_option, &socket) == kNever ? kRestartSys : -EINTR;
    }
}

bool wants_helper(const Call& call) {
    return g_multi && !call.c->blocks_here && call.c->call_nr < kSyscallLimit && g_policy->rules[call.c->call_nr].action == Action::offload;
}

long helper_attempt(Call& call) {
    IntrResult r = offload_call_told(call.c, call.nr, call.a, "offloaded call");
    if (r.result != -EINTR) return raise_write_signal(call.c, r.result);
    return !signal_pending(call.c) ? kLookAgain : r.begun ? -EINTR : kRestartNoIntr;
}

long native_attempt(Call& call) { return wants_helper(call) ? helper_attempt(call) : native_on_worker(call); }

long native_on_worker(Call& call) {
    attend();
    IntrResult r = native_as_guest(call, false);
    if (r.result != -EINTR) return r.result;
    attend();
    // A signal from before the call comes before it: what never waits must not end with EINTR.
    if (signal_pending(call.c)) return r.begun ? -EINTR : kRestartNoIntr;
    if (g_multi && this_thread()->need_resched.load(std::memory_order_relaxed)) {
        this_thread()->need_resched.store(false, std::memory_order_relaxed);
        yield_now(call.c);
    }
    return kLookAgain;
}

namespace {

int write_signal(long result) {
    return result == -EPIPE ? SIGPIPE : result == -EFBIG ? SIGXFSZ : 0;
}

// Takes the signal that the kernel raised by itself out of this thread's latch. The handler only appends behind
// latch_in, so what is before it may be moved.
bool take_latched(int sig, siginfo_t* info) {
    KThread* t = this_thread();
    u32 in = t->latch_in.load(std::memory_order_acquire), out = t->latch_out.load(std::memory_order_relaxed);
    for (u32 i = out; i != in; i++) {
        siginfo_t& entry = t->latch[i % KThread::kLatchSlots];
        if (entry.si_signo != sig || entry.si_code != SI_USER || u32(entry.si_pid) != g_pid) continue;
        *info = entry;
        for (; i != out; i--) t->latch[i % KThread::kLatchSlots] = t->latch[(i - 1) % KThread::kLatchSlots];
        t->latch_out.store(out + 1, std::memory_order_release);
        return true;
    }
    return false;
}

}  // namespace

long claim_write_signal(Coroutine* c, long result) {
    int sig = write_signal(result);
    siginfo_t info;
    if (sig && g_multi && take_latched(sig, &info)) signal_post_thread(c, info);
    return result;
}

long raise_write_signal(Coroutine* c, long result) {
    if (int sig = write_signal(result)) {
        siginfo_t info;
        memset(&info, 0, sizeof info);
        info.si_signo = sig;
        info.si_code = SI_USER;
        info.si_pid = int(g_pid);
        info.si_uid = u32(sys(__NR_getuid));
        signal_post_thread(c, info);
    }
    return result;
}

u64 IoVector::total_of_array() const {
    constexpr u64 kBatch = 16;
    iovec part[kBatch];
    u64 sum = 0;
    for (u64 i = 0; i < count_ && i < kMaxVectors; i += kBatch) {
        u64 n = count_ - i < kBatch ? count_ - i : kBatch;
        if (copy_from_guest(part, at_ + i, n * sizeof(iovec))) return 0;
        for (u64 k = 0; k < n; k++) {
            sum += part[k].iov_len < kMaxTransfer ? part[k].iov_len : kMaxTransfer;
            if (sum >= kMaxTransfer) return kMaxTransfer;
        }
    }
    return sum;
}

bool IoVector::reaches_end(u64 got) const {
    if (own()) return ocrun::reaches_end(u64(one_.iov_base), one_.iov_len, got);
    iovec last;
    return count_ && get_guest(&last, at_ + count_ - 1) == 0 && (!last.iov_len || ocrun::reaches_end(u64(last.iov_base), last.iov_len, 0));
}

bool IoVector::advance(u64 bytes) {
    if (at_ != &one_ && !copy_) {
        if (count_ == 1) {
            if (get_guest(&one_, at_)) return false;
            at_ = &one_;
        } else {
            if (count_ > kMaxVectors) return false;
            copy_bytes_ = count_ * sizeof(iovec);
            copy_ = (iovec*)pages_alloc(copy_bytes_);
            if (!copy_ || copy_from_guest(copy_, at_, copy_bytes_)) return false;
            at_ = copy_;
        }
    }
    iovec* v = const_cast<iovec*>(at_);
    while (count_ && bytes >= v->iov_len) {
        bytes -= v->iov_len;
        v++;
        count_--;
    }
    at_ = v;
    if (!count_) return bytes == 0;
    v->iov_base = (char*)v->iov_base + bytes;
    v->iov_len -= bytes;
    return true;
}

}  // namespace ocrun
