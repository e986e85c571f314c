// guest_filter.cc - see guest_filter.h
#include "runtime/process/guest_filter.h"

#include <asm/errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/uio.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "seccomp/filter_eval.h"

extern "C" char __executable_start, etext;

namespace ocrun {

// As in the kernel, threads share what they have in common: a filter never changes, and is held by who has it as its newest and by
// the next newer ones.
struct GuestFilter {
    std::atomic<u32> users;
    u32 length;
    GuestFilter* older;
    sock_filter program[];
};

namespace {

GuestFilter* g_inherited;  // by the image from the one before its exec

constexpr u32 kGate = 7, kTail = 3;

size_t filter_bytes(u32 length) { return sizeof(GuestFilter) + length * sizeof(sock_filter); }

GuestFilter* filter_make(const sock_filter* program, u32 length) {
    GuestFilter* f = (GuestFilter*)pages_alloc(filter_bytes(length));
    if (!f) return nullptr;
    f->users.store(1, std::memory_order_relaxed);
    f->length = length;
    memcpy(f->program, program, length * sizeof(sock_filter));
    return f;
}

GuestFilter* hold(GuestFilter* f) {
    if (f) f->users.fetch_add(1, std::memory_order_relaxed);
    return f;
}

void release(GuestFilter* f) {
    while (f && f->users.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        GuestFilter* older = f->older;
        pages_free(f, filter_bytes(f->length));
        f = older;
    }
}

void append(GuestFilter** list, GuestFilter* f) {
    f->older = *list;
    *list = f;
}

bool is_ancestor(const GuestFilter* which, const GuestFilter* of) {
    while (of && of != which) of = of->older;
    return of == which;
}

// Lower value wins (kernel/seccomp.c, action_cache and ACTION_ONLY compare them as signed).
i32 severity(u32 verdict) { return i32(verdict & SECCOMP_RET_ACTION_FULL); }

bool alone() {
    Locked walk(g_registry_lock);
    return registry().size() == 1;
}

// More than 0 is the listener's descriptor or, by TSYNC, who does not follow.
bool installed(long r, u32 flags) { return r == 0 || (r > 0 && (flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)); }

// The kernel's copy must not end a worker: instead of killing the thread it traps, and guest_filters_decide does the rest.
// `program` has room for kTail more. The new length.
u32 trap_instead_of_killing(sock_filter* program, u32 n) {
    bool computed = false;
    for (u32 i = 0; i < n; i++) {
        if (program[i].code == (BPF_RET | BPF_K) && !(program[i].k & SECCOMP_RET_ACTION_FULL)) program[i].k = SECCOMP_RET_TRAP;
        if (program[i].code != (BPF_RET | BPF_A)) continue;
        program[i] = BPF_STMT(BPF_JMP | BPF_JA, n - i - 1);
        computed = true;
    }
    static_assert(SECCOMP_RET_KILL_THREAD == 0);
    const sock_filter tail[kTail] = {
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_RET_ACTION_FULL, 0, 1),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    if (!computed) return n;
    memcpy(program + n, tail, sizeof tail);
    return n + kTail;
}

// SECCOMP_FILTER_FLAG_TSYNC among several threads. The kernel asks of its threads what is asked of the coroutines here: what each has
// is a beginning of what the caller has. A thread on its way out, which nobody can name any more, may be in the way for a moment.
long install_for_all(Coroutine* c, u32 flags, const sock_fprog& kernel, GuestFilter* f, bool* done) {
    constexpr int kRounds = 1000;
    long r = 0;
    for (int i = 0; i < kRounds; i++) {
        world_stop();
        u32 other = 0;
        {
            Locked walk(g_registry_lock);
            for (const Coroutine& x : registry())
                if (!is_ancestor(x.filters, c->filters)) other = x.tid;
        }
        if (other)
            r = flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : long(other);
        else
            r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &kernel);
        *done = installed(r, flags) && !other;
        if (*done) {
            append(&c->filters, f);
            Locked walk(g_registry_lock);
            for (Coroutine& x : registry()) {
                if (&x == c) continue;
                release(x.filters);  // not its last user: c has it among its own
                x.filters = hold(f);
            }
        }
        world_go();
        if (*done || other || (is_error(r) && r != -ESRCH)) break;
        sys(__NR_sched_yield);
    }
    return r;
}

// A filter of one thread is its kernel thread's, so with others about it needs one of its own. A thread with nobody beside it may run
// on any worker.
long install_for_one(Coroutine* c, u32 flags, const sock_fprog& kernel, GuestFilter* f, bool* done) {
    long r = -ESRCH;
    bool on_any_worker = g_multi && !c->direct && !c->pinned;
    if (on_any_worker && alone()) {
        u32 to_all = flags | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
        r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, to_all, &kernel);
    }
    if (r == -ESRCH) {
        if (on_any_worker)
            if (long error = worker_pin(c)) return error;
        r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &kernel);
    }
    *done = installed(r, flags);
    if (*done) append(&c->filters, f);
    return r;
}

}  // namespace

bool guest_filters_decide(const Call& call, long* result) {
    seccomp_data data{};
    data.nr = int(call.nr);
    data.arch = AUDIT_ARCH_X86_64;
    data.instruction_pointer = call.c->regs.rip;
    for (int i = 0; i < 6; i++) data.args[i] = call.a[i];
    u32 verdict = SECCOMP_RET_ALLOW;
    for (const GuestFilter* f = call.c->filters; f; f = f->older) {
        u32 v = filter_eval(f->program, f->length, data);
        if (severity(v) < severity(verdict)) verdict = v;  // of equals the newest one's data counts
    }
    switch (verdict & SECCOMP_RET_ACTION_FULL) {
        case SECCOMP_RET_ALLOW:
        case SECCOMP_RET_LOG:
            return false;
        case SECCOMP_RET_ERRNO: {
            u32 error = verdict & SECCOMP_RET_DATA;
            *result = -long(error > kMaxErrno ? kMaxErrno : error);
            return true;
        }
        case SECCOMP_RET_TRAP: {
            siginfo_t info;
            memset(&info, 0, sizeof info);
            info.si_signo = SIGSYS;
            info.si_code = 1;
            info.si_errno = int(verdict & SECCOMP_RET_DATA);
            info.si_call_addr = (void*)call.c->regs.rip;
            info.si_syscall = int(call.nr);
            info.si_arch = AUDIT_ARCH_X86_64;
            call.c->regs.rax = call.nr;
            signal_force(call.c, info);
            // The handler's frame holds rax = nr; what is returned now becomes the handler's own rax.
            *result = 0;
            return true;
        }
        case SECCOMP_RET_KILL_THREAD:
            if (!call.c->direct && !alone()) thread_killed(call.c, SIGSYS);
            die_by_signal(SIGSYS);
        case SECCOMP_RET_KILL_PROCESS:
            die_by_signal(SIGSYS);
        default:
            *result = -ENOSYS;  // TRACE without a tracer, USER_NOTIF without a listener
            return true;
    }
}

long guest_filter_install(Coroutine* c, u32 flags, u64 guest_program) {
    struct {
        u16 length;
        u64 filter;
    } request;
    static_assert(sizeof request == sizeof(sock_fprog));
    if (copy_from_guest(&request, (void*)guest_program, sizeof request)) return -EFAULT;
    u32 n = request.length;
    if (n == 0 || n > BPF_MAXINSNS) return -EINVAL;
    if (n + kGate + kTail > BPF_MAXINSNS) return -EINVAL;
    size_t bytes = (n + kGate + kTail) * sizeof(sock_filter);
    sock_filter* program = (sock_filter*)pages_alloc(bytes);
    if (!program) return -ENOMEM;
    u32 begin = u32((u64)&__executable_start), end = u32((u64)&etext);
    const sock_filter gate[kGate] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, begin, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, end, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_IMM, 0),  // the guest's program may count on A == 0
    };
    memcpy(program, gate, sizeof gate);
    long r = copy_from_guest(program + kGate, (void*)request.filter, n * sizeof(sock_filter));
    if (!r && !filter_valid(program + kGate, n)) r = -EINVAL;
    GuestFilter* f = nullptr;
    bool done = false;
    if (!r) {
        f = filter_make(program + kGate, n);
        if (!f) r = -ENOMEM;
    }
    if (!r) {
        sock_fprog kernel{u16(trap_instead_of_killing(program + kGate, n) + kGate), program};
        bool for_all = (flags & SECCOMP_FILTER_FLAG_TSYNC) && g_multi && !c->direct;
        r = for_all ? install_for_all(c, flags, kernel, f, &done) : install_for_one(c, flags, kernel, f, &done);
    }
    if (!done) release(f);
    pages_free(program, bytes);
    return r;
}

void guest_filters_inherit(Coroutine* c, const Coroutine* from) { c->filters = hold(from->filters); }

void guest_filters_release(Coroutine* c) {
    release(c->filters);
    c->filters = nullptr;
}

long guest_filters_save(const Coroutine* c) {
    u64 end = 0;
    for (const GuestFilter* f = c->filters; f; f = f->older) end += 8 + f->length * sizeof(sock_filter);
    long fd = sys(__NR_memfd_create, "ocrun-filters", 0);
    if (is_error(fd)) return fd;
    for (const GuestFilter* f = c->filters; f; f = f->older) {
        u64 length = f->length, bytes = length * sizeof(sock_filter);
        end -= 8 + bytes;
        const iovec parts[] = {{&length, 8}, {(void*)f->program, bytes}};
        long r = sys(__NR_pwritev, fd, parts, 2, end, 0);
        if (r == long(8 + bytes)) continue;
        sys(__NR_close, fd);
        return is_error(r) ? r : -ENOSPC;
    }
    return fd;
}

void guest_filters_restore(const void* data, u32 bytes) {
    const u8* p = (const u8*)data;
    for (u32 at = 0; at + 8 <= bytes;) {
        u64 length;
        memcpy(&length, p + at, 8);
        if (length > BPF_MAXINSNS || at + 8 + length * sizeof(sock_filter) > bytes) return;
        if (GuestFilter* f = filter_make((const sock_filter*)(p + at + 8), u32(length))) append(&g_inherited, f);
        at += 8 + u32(length) * u32(sizeof(sock_filter));
    }
}

void guest_filters_begin(Coroutine* first) { first->filters = hold(g_inherited); }

}  // namespace ocrun
