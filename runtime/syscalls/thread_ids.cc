// thread_ids.cc - calls that take the id of a thread and that the kernel answers for the process (getpgid(2), prlimit(2) ...)
//
// The kernel knows no thread id that ocrun gave out. What such a call is about is mostly the process's, so the process's own id
// takes its place; a coroutine with a kernel thread of its own is that thread.
#include <asm/errno.h>
#include <linux/capability.h>
#include <sys/resource.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/sched/monitor.h"
#include "runtime/sched/workers.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

namespace {

u32 kernel_id(const Coroutine* c) { return c->pinned ? c->home->tid : g_pid; }

// The id as the kernel knows it; one that is not ours stays as it is.
u64 translated(u64 id) {
    if (!g_multi || !id) return id;
    Locked held(g_registry_lock);
    Coroutine* c = registry_find(u32(id));
    return c ? kernel_id(c) : id;
}

bool ours(u64 id) {
    if (!g_multi) return false;
    Locked held(g_registry_lock);
    return registry_find(u32(id)) != nullptr;
}

long about_first(Call& call) {
    call.a[0] = translated(call.a[0]);
    return native(call);
}

}  // namespace

long h_getpgid(Call& call) { return about_first(call); }
long h_getsid(Call& call) { return about_first(call); }
long h_prlimit64(Call& call) { return about_first(call); }
long h_process_vm_readv(Call& call) { return about_first(call); }
long h_process_vm_writev(Call& call) { return about_first(call); }
long h_migrate_pages(Call& call) { return about_first(call); }
long h_move_pages(Call& call) { return about_first(call); }

long h_setpgid(Call& call) {
    // Only a leader may be moved (kernel/sys.c).
    return u32(call.a[0]) != g_pid && ours(call.a[0]) ? -EINVAL : native(call);
}

long h_kcmp(Call& call) {
    call.a[0] = translated(call.a[0]);
    call.a[1] = translated(call.a[1]);
    return native(call);
}

long h_pidfd_open(Call& call) {
    constexpr u32 kThread = 0200;  // PIDFD_THREAD, Linux 6.9
    if (u32(call.a[0]) == g_pid || !ours(call.a[0])) return native(call);
    u64 id = translated(call.a[0]);
    if (call.a[1] & kThread) {
        if (id == g_pid) return -EINVAL;  // as an older kernel
        call.a[0] = id;
        return native(call);
    }
    // Not a leader: the error has changed over time, so a kernel thread of ours that is none asks for it.
    call.a[0] = g_monitor_tid ? g_monitor_tid : workers_started() > 1 ? worker_at(1)->tid : 0;
    long r = call.a[0] ? native(call) : -EINVAL;
    return is_error(r) ? r : -EINVAL;
}

long h_capget(Call& call) {
    __user_cap_header_struct header;
    if (!g_multi || get_guest(&header, (void*)call.a[0]) || header.pid <= 0 || !ours(u64(header.pid))) return native(call);
    const u32 version = header.version;
    // One's own are those of the kernel thread that asks.
    header.pid = u32(header.pid) == call.c->tid ? 0 : i32(translated(u64(header.pid)));
    Call now = call;
    now.a[0] = u64(&header);
    long r = native(now);
    // A version that the kernel does not know is answered with its own.
    if (header.version != version && put_guest((void*)call.a[0], header.version)) return -EFAULT;
    return r;
}

namespace {

constexpr u32 kIoprioWhoProcess = 1;  // include/uapi/linux/ioprio.h

// The coroutine that an ioprio call is about; nullptr: the kernel answers.
Coroutine* ioprio_subject(const Call& call) {
    if (!g_multi || u32(call.a[0]) != kIoprioWhoProcess) return nullptr;
    if (!i32(call.a[1])) return call.c;
    Locked held(g_registry_lock);
    return registry_find(u32(call.a[1]));
}

}  // namespace

// Kept as nice values are (sched_calls.cc): the worker, which serves others too, is only asked whether the kernel would.
long h_ioprio_set(Call& call) {
    Coroutine* c = ioprio_subject(call);
    if (!c) return native(call);
    if (c->pinned) {
        call.a[1] = c->home->tid;
        return native(call);
    }
    long old = sys(__NR_ioprio_get, kIoprioWhoProcess, 0);
    long r = sys(__NR_ioprio_set, kIoprioWhoProcess, 0, call.a[2]);
    if (is_error(r)) return r;
    if (!is_error(old)) sys(__NR_ioprio_set, kIoprioWhoProcess, 0, old);
    c->ioprio = i32(call.a[2]);
    c->ioprio_set = true;
    return r;
}

long h_ioprio_get(Call& call) {
    Coroutine* c = ioprio_subject(call);
    if (!c) return native(call);
    if (c->ioprio_set && !c->pinned) return c->ioprio;
    call.a[1] = c == call.c ? 0 : kernel_id(c);
    return native(call);
}

}  // namespace ocrun
