// clone.cc - new threads, forks and CLONE_VM children (see process.h)
#include <asm/errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/epoll.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/host/handoff.h"
#include "runtime/io/readiness.h"
#include "runtime/io/ring.h"
#include "runtime/memory/arena.h"
#include "runtime/memory/trims.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/process/rule_turns.h"
#include "runtime/process/tid_blocks.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/host_signals.h"
#include "runtime/sync/futex.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/segment_bases.h"
#include "seccomp/shared_high.h"
#include "seccomp/syscall_table.h"

#include <sys/mman.h>

namespace ocrun {

u32 g_pid, g_forks;
std::atomic<u32> g_direct_children{0};
std::atomic<Shared*> g_tree_shared{nullptr};

namespace {

// include/uapi/linux/sched.h; clone3 only.
constexpr u64 kClearSighand = 1ul << 32, kIntoCgroup = 1ul << 33, kNewTime = 0x80;

void copy_identity(Coroutine* to, Coroutine* from) {
    to->regs = from->regs;
    copy_xstate(to, from);
    to->gs_base = from->gs_base;
    to->mask = from->mask;
    memcpy(to->name, from->name, sizeof to->name);
    to->sched_set = from->sched_set;
    to->sched_policy = from->sched_policy;
    to->sched_priority = from->sched_priority;
    to->nice_set = from->nice_set;
    to->nice = from->nice;
    to->ioprio_set = from->ioprio_set;
    to->ioprio = from->ioprio;
    to->affinity_set = from->affinity_set;
    memcpy(to->affinity, from->affinity, sizeof to->affinity);
}

// The page that a new thread's first call writes to. On another worker that fault and the mapping of the next stack by this one
// would wait for each other in the kernel.
void touch_stack(u64 top) {
    u32 seen;
    if (!only_worker() && arena_holds(top)) guest_cas_u32((u32*)((top - sizeof seen) & ~u64(sizeof seen - 1)), 0, 0, &seen);
}

long start_in_guest(Coroutine*) { return kNoResult; }

}  // namespace

void enter_multi(Coroutine* c) {
    if (g_multi) return;
    tracing_begins(c);
    signals_enter_multi(c);
    cpu_clock_enter_multi(c);
    rewrite_expect_threads();
    futexes_expect_threads();
    monitor_start();
}

namespace {

long new_thread(Coroutine* parent, const CloneRequest& q) {
    constexpr u64 kNeeded = CLONE_VM | CLONE_SIGHAND;
    if ((q.flags & kNeeded) != kNeeded || (q.flags & CLONE_PIDFD)) return -EINVAL;
    Coroutine* c = coroutine_alloc();
    if (!c) return -EAGAIN;
    enter_multi(parent);
    copy_identity(c, parent);
    high_share(c, parent);
    c->tid = tid_allocate();
    c->regs.rax = 0;
    if (q.stack) c->regs.rsp = q.stack;
    c->stack_top = c->regs.rsp;
    stack_trim_cancel(c->stack_top);
    c->fs_base = q.flags & CLONE_SETTLS ? q.tls : fs_base_of(parent);
    if (q.flags & CLONE_CHILD_CLEARTID) c->clear_child_tid = q.child_tid;
    u32 tid = c->tid;
    if (q.flags & CLONE_PARENT_SETTID) put_guest((void*)q.parent_tid, tid);
    if (q.flags & CLONE_CHILD_SETTID) put_guest((void*)q.child_tid, tid);
    c->resume = start_in_guest;
    touch_stack(c->stack_top);
    if (parent->pinned) {
        // Natively it would begin with its creator's credentials, namespaces, descriptors ...
        c->own_files = parent->own_files;
        if (long r = worker_pin(c)) {
            coroutine_free(c);
            return r;
        }
    }
    guest_filters_inherit(c, parent);
    registry_add(c);
    observe_create(c, parent);
    make_ready(c);
    return tid;
}

void after_fork(Coroutine* c, const CloneRequest& q) {
    KThread* t = this_thread();
    tracing_dropped(c);
    set_forked_by({c->direct ? c->tid : g_pid, c->direct || c->pinned ? 0 : c->tid});
    g_pid = u32(sys(__NR_getpid));
    g_forks++;
    t->tid = u32(sys(__NR_gettid));
    t->async_blocked = false;
    hand_attributes_to_kernel(c);
    if (c->direct) {
        // A vfork child forked: its child is a process of its own, with the actions the vfork child had.
        c->direct = c->trace_me = false;
        t->kind = ThreadKind::worker;
        memcpy(g_actions, t->direct_actions, sizeof g_actions);
        // What is known of the host's dispositions is about the vfork child's parent.
        for (int sig = 1; sig <= kSignals; sig++) host_resync_action(sig);
    }
    c->tid = g_pid;
    c->is_main = true;
    c->tracer = 0;
    c->pinned = c->own_files = c->setxid_round = c->in_setxid = c->owns_io = false;
    c->home = nullptr;
    // The kernel was not told (fork_process): the word is to be cleared when this thread ends, which may be long before its
    // kernel thread does.
    c->clear_child_tid = q.flags & CLONE_CHILD_CLEARTID ? q.child_tid : 0;
    c->robust_head = 0;
    g_direct_children.store(0, std::memory_order_relaxed);
    tid_blocks_after_fork();
    if (g_waiting_calls_after_fork) g_waiting_calls_after_fork(q.flags & CLONE_FILES);
    coroutine_pool_after_fork(c);
    scheduler_after_fork();
    if (q.flags & kClearSighand) {
        g_signal_lock.reset();
        g_registry_lock.reset();
        SignalAction dfl{};
        for (int sig = 1; sig <= kSignals; sig++)
            if (g_actions[sig].handler > 1) signal_set_action(sig, &dfl, nullptr);
    }
    // Of the process that forked, if anybody waits for that one.
    if (q.flags & CLONE_FILES)
        hidden_fd_adopt(kHiddenVfork, -1);
    else
        hidden_fd_close(kHiddenVfork);
    futex_after_fork();
    rule_turns_after_fork();
    rewrite_after_fork();
    arena_after_fork();
    stack_trims_after_fork();
    readiness_after_fork(q.flags & CLONE_FILES);
    offload_after_fork();
    ring_after_fork();
    signals_after_fork(c);
    if (q.stack) c->regs.rsp = q.stack;
    if (q.flags & CLONE_SETTLS) set_fs_base(c, q.tls);
}

// Until the child of a CLONE_VFORK has executed a program or ended, when the other end of the pipe is closed. No signal ends this wait.
void wait_for_vfork_child(Coroutine* c, int fd) {
    constexpr u64 kLookAgainNs = 1000000;
    for (;;) {
        u32 seen = fd_sequence(fd);
        pollfd p{fd, POLLIN, 0};
        long ready = sys(__NR_poll, &p, 1, c->direct ? -1 : 0);
        if (ready == -EINTR) continue;
        if (ready) return;  // or the guest closed everything
        FdWaiter w{};
        w.c = c;
        w.fd = fd;
        w.events = EPOLLIN;
        w.token = wait_begin(c, false);
        // Others do not see a descriptor of its own.
        long r = c->own_files ? -EBADF : fd_link(&w, seen);
        if (r == 1) wake(c, w.token, WakeReason::woken);
        wait_park(c, is_error(r) ? now_ns() + kLookAgainNs : kNever, "vfork", u64(fd));
        fd_unlink(&w);
    }
}

long fork_process(Call& call, const CloneRequest& q) {
    // TLS, stack, CLEAR_SIGHAND (which would take SIGSYS from us) and CHILD_CLEARTID are after_fork's: until then the child
    // runs on the copy of this very stack.
    u64 flags = q.flags & ~(u64(CLONE_SETTLS | CLONE_CHILD_CLEARTID) | kClearSighand);
    clone_args args{};
    bool by_clone3 = q.clone3 && (q.clone3_bytes > 64 || (q.flags & kNewTime));
    if (by_clone3) {
        if (copy_from_guest(&args, q.clone3, q.clone3_bytes)) return -EFAULT;
        args.stack = args.stack_size = args.tls = 0;
    }
    // No signal may fall between the copy of the latch and its reset in the child.
    bool stopped = g_multi;
    if (stopped) {
        world_stop();
        affinity_exact(call.c);
    }
    // The kernel would hold the caller, and the world with it, until the child's exec or exit.
    int done[2] = {-1, -1};
    bool parks = stopped && (flags & CLONE_VFORK) && !(flags & CLONE_FILES) && !is_error(sys(__NR_pipe2, done, O_CLOEXEC));
    if (parks) flags &= ~u64(CLONE_VFORK);
    args.flags = flags;
    u64 all = ~kHostNeverBlocked;
    u64 mine = this_thread()->host_mask;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    long r;
    if (by_clone3) {
        r = sys(__NR_clone3, &args, q.clone3_bytes);
    } else {
        u64 pidfd_or_parent = (flags & CLONE_PIDFD) ? q.pidfd : q.parent_tid;
        if ((flags & CLONE_PIDFD) && (flags & CLONE_PARENT_SETTID) && q.pidfd != q.parent_tid) flags &= ~u64(CLONE_PARENT_SETTID);
        r = sys(__NR_clone, (flags & 0xffffffff) | q.exit_signal, 0, pidfd_or_parent, q.child_tid, 0);
        if (r > 0 && (q.flags & CLONE_PARENT_SETTID) && !(flags & CLONE_PARENT_SETTID)) put_guest((void*)q.parent_tid, u32(r));
    }
    if (r == 0) {
        after_fork(call.c, q);
        if (parks) {
            sys(__NR_close, done[0]);
            hidden_fd_place(done[1], kHiddenVfork, true);
        }
        return 0;
    }
    if (parks) {
        // Before anybody else can fork, or count on the next free number.
        sys(__NR_close, done[1]);
        long high = sys(__NR_fcntl, done[0], F_DUPFD_CLOEXEC, hidden_fd_base() + kHiddenFdCount);
        if (!is_error(high)) {
            sys(__NR_close, done[0]);
            done[0] = int(high);
        }
    }
    host_set_mask(mine);
    if (stopped) world_go();
    if (parks) {
        if (r > 0) wait_for_vfork_child(call.c, done[0]);
        fd_forget(done[0]);
        sys(__NR_close, done[0]);
    }
    return r;
}

struct DirectStart {
    KThread* thread;
    Coroutine* c;
};

void direct_child_main(void* argument) {
    DirectStart start = *(DirectStart*)argument;
    trap_thread_attach(start.thread);
    start.thread->tid = start.c->tid = u32(sys(__NR_gettid));
    start.thread->current = start.c;
    load_fs_base(start.c);
    host_set_mask(start.c->mask);
    oc_exit_loop(start.c);
}

long shared_memory_child(Call& call, const CloneRequest& q) {
    if (q.clone3 && q.clone3_bytes > 64) {
        clone_args a{};
        if (copy_from_guest(&a, q.clone3, q.clone3_bytes < sizeof a ? q.clone3_bytes : sizeof a)) return -EFAULT;
        if (a.set_tid || a.cgroup) return -EINVAL;
    }
    Coroutine* c = coroutine_alloc();
    KThread* t = kthread_alloc(ThreadKind::direct);
    if (g_multi) affinity_exact(call.c);
    if (!c || !t) {
        if (c) coroutine_free(c);
        if (t) kthread_free(t);
        return -EAGAIN;
    }
    // It waits for words of this memory and wakes them in the kernel, as the kernel does with the one that its end clears. Other vfork
    // children mostly leave futexes alone (futexes_meet_child).
    if (!(q.flags & CLONE_VFORK) || (g_multi && (q.flags & CLONE_CHILD_CLEARTID))) futexes_to_kernel();
    copy_identity(c, call.c);
    guest_filters_inherit(c, call.c);
    c->direct = true;
    c->is_main = true;
    c->trace_me = false;
    c->forked_by_pid = g_pid;
    c->forked_by_thread = call.c->pinned ? 0 : call.c->tid;
    c->alt = q.flags & CLONE_VFORK ? call.c->alt : AltStack{0, 0, 0};
    c->regs.rax = 0;
    if (q.stack) c->regs.rsp = q.stack;
    c->fs_base = q.flags & CLONE_SETTLS ? q.tls : fs_base_of(call.c);
    static_assert(sizeof(SignalAction) * (kSignals + 1) <= sizeof t->direct_actions);
    memcpy(t->direct_actions, g_actions, sizeof g_actions);
    if (q.flags & kClearSighand)
        for (int sig = 1; sig <= kSignals; sig++)
            if (((SignalAction*)t->direct_actions)[sig].handler > 1) ((SignalAction*)t->direct_actions)[sig] = SignalAction{};
    t->host_mask = ~kHostNeverBlocked;

    u64 mine = this_thread()->host_mask;
    u64 all = ~kHostNeverBlocked;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &all, nullptr, 8);
    DirectStart start{t, c};
    u64 flags = q.flags & 0xffffffff & ~u64(CLONE_SETTLS | CLONE_SIGHAND);
    u64 pidfd_or_parent = (flags & CLONE_PIDFD) ? q.pidfd : q.parent_tid;
    if ((flags & CLONE_PIDFD) && (flags & CLONE_PARENT_SETTID) && q.pidfd != q.parent_tid) flags &= ~u64(CLONE_PARENT_SETTID);
    // `start` is read before a CLONE_VFORK parent goes on; another flavour needs a copy that stays.
    c->runtime_stack = runtime_stack_take();
    DirectStart* stays = (DirectStart*)(c->runtime_stack - sizeof(DirectStart));
    *stays = start;
    g_direct_children.fetch_add(1, std::memory_order_seq_cst);
    if ((q.flags & CLONE_VFORK) && g_multi) worker_expect_stuck();
    if (q.flags & CLONE_VFORK) worker_away(true);
    long r = oc_clone_child(flags | q.exit_signal, (void*)((u64)stays & ~15ul), (void*)pidfd_or_parent, (void*)q.child_tid,
                            direct_child_main, stays);
    if (q.flags & CLONE_VFORK) worker_away(false);
    if (r > 0 && (q.flags & CLONE_PARENT_SETTID) && !(flags & CLONE_PARENT_SETTID)) put_guest((void*)q.parent_tid, u32(r));
    // After a CLONE_VFORK the child has left this memory; otherwise its stack and block stay for as long as it may run.
    if (is_error(r) || (q.flags & CLONE_VFORK)) {
        for (KThread::Scratch& s : t->scratch)
            if (s.start) pages_free(s.start, s.bytes);
        guest_filters_release(c);
        if (is_error(r) || !worker_errand_is_left(c->tid)) coroutine_free(c);  // else its stack stays
        kthread_free(t);
        g_direct_children.fetch_sub(1, std::memory_order_seq_cst);
    }
    host_set_mask(mine);
    return r;
}

}  // namespace

Shared* tree_shared_map() {
    long r = sys(__NR_mmap, nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, hidden_fd(kHiddenPolicy), kSharedOffset);
    OC_APART static Shared private_shared;  // outside a tree (cannot happen after a launch): unique in the process at least
    Shared *fresh = is_error(r) ? &private_shared : (Shared*)r, *none = nullptr;
    if (g_tree_shared.compare_exchange_strong(none, fresh)) return fresh;
    if (!is_error(r)) pages_free(fresh, kPageBytes);
    return none;
}

long process_clone(Call& call, const CloneRequest& q) {
    // What copy_process() checks and a changed set of flags would hide.
    if ((q.flags & CLONE_SIGHAND) && !(q.flags & CLONE_VM)) return -EINVAL;
    if ((q.flags & CLONE_THREAD) && !(q.flags & CLONE_SIGHAND)) return -EINVAL;
    if (q.clone3) {
        if ((q.flags >> 32 & ~((kClearSighand | kIntoCgroup) >> 32)) || (q.flags & (CLONE_DETACHED | (CSIGNAL & ~u64(kNewTime))))) return -EINVAL;
        if ((q.flags & kClearSighand) && (q.flags & CLONE_SIGHAND)) return -EINVAL;
        if ((q.flags & kIntoCgroup) && q.clone3_bytes < sizeof(clone_args)) return -EINVAL;
        if (q.exit_signal > u64(kSignals) || ((q.flags & (CLONE_THREAD | CLONE_PARENT)) && q.exit_signal)) return -EINVAL;
    }
    if (q.flags & CLONE_THREAD) {
        if (call.c->direct || (q.flags & (CLONE_NEWPID | CLONE_NEWUSER))) return -EINVAL;
        return new_thread(call.c, q);
    }
    if ((q.flags & CLONE_VM) && !call.c->direct) return shared_memory_child(call, q);
    CloneRequest plain = q;
    // A child of a vfork child gets a copy of memory: sharing it a second time is not supported, and not needed by a
    // program that could run natively after vfork(2)'s rules.
    plain.flags &= ~u64(CLONE_VM | CLONE_SIGHAND);
    return fork_process(call, plain);
}

}  // namespace ocrun
