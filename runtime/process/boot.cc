// boot.cc - see boot.h
#include "runtime/process/boot.h"

#include <asm/errno.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/host/elf_image.h"
#include "runtime/host/identity.h"
#include "runtime/io/readiness.h"
#include "runtime/io/ring.h"
#include "runtime/memory/trims.h"
#include "runtime/process/dump.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/sched/cpus.h"
#include "runtime/sched/observe.h"
#include "runtime/sched/tick.h"
#include "runtime/sched/workers.h"
#include "runtime/sync/futex.h"
#include "seccomp/install.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

void dispatch_init();
extern bool g_host_no_new_privs;

namespace {

constexpr u32 kRseqSignature = 0x53053053;  // glibc's, sysdeps/unix/sysv/linux/x86/bits/rseq.h
constexpr u64 kInitialEflags = 0x202;

struct StackBlock {
    const char* bytes;
    size_t size;
    u64 rsp;
    size_t mapped;  // bytes to unmap afterwards
} g_block;

// Runs as coroutine 1: the launcher's stack is dead now, its place is the guest's.
long first_entry(Coroutine*) {
    memcpy((void*)g_block.rsp, g_block.bytes, g_block.size);
    if (g_block.mapped) pages_free((void*)g_block.bytes, g_block.mapped);
    return kNoResult;
}

// Code may be written while nobody else runs guest code. A child that shares this memory cannot be held.
bool hold_others() {
    if (g_direct_children.load(std::memory_order_seq_cst)) return false;
    // A worker that is stuck in the kernel may be so until the caller of this helps it out: no waiting for it.
    constexpr u64 kPatienceNs = 5000000;
    return !g_multi || world_stop_within(kPatienceNs);
}
void let_others_go() {
    if (g_multi) world_go();
}
u64 hwcap2(const Elf64_auxv_t* a) {
    for (; a->a_type != AT_NULL; a++)
        if (a->a_type == AT_HWCAP2) return a->a_un.a_val;
    return 0;
}

void want_sigill() { signal_want(signal_bit(SIGILL)); }

}  // namespace

long boot(BootRequest& q, const LibcLeftovers& libc, Text* why) {
    LoadedImage image{};
    long r = load_image(q.target_fd, q.shown_path, &image, why, q.interp_fd);
    if (r) return r;
    q.stack.image = &image;
    u64 top = (u64)(q.stack.argv - 1);
    size_t size = initial_stack_bytes(q.stack);
    // Nearly always small enough to need no mapping.
    OC_APART alignas(16) static char usual[16 * 1024];
    char* buffer = size <= sizeof usual ? usual : (char*)pages_alloc(size);
    InitialStack stack{};
    if (!buffer) return -ENOMEM;
    r = build_initial_stack(q.stack, top, buffer, size, &stack);
    if (!r && image.exec_stack) r = enable_exec_stack(q.stack);
    if (r) {
        why->clear();
        why->add(q.shown_path).add(": the initial stack cannot be built: ").add(errno_text(r));
        return r;
    }
    g_block = {buffer, stack.bytes, stack.rsp, buffer == usual ? 0 : size};
    // Kept for /proc/self/exe; without a number to spare the path has to do.
    if (is_error(hidden_fd_place(q.target_fd, kHiddenTarget, true, false))) {
        if (fd_path(q.target_fd, g_exe_path, sizeof g_exe_path) < 0) text_copy(g_exe_path, sizeof g_exe_path, q.shown_path);
        sys(__NR_close, q.target_fd);
    }
    if (q.interp_fd >= 0) sys(__NR_close, q.interp_fd);

    // libc's per-thread registrations point into memory the guest does not know.
    if (libc.rseq) sys(__NR_rseq, libc.rseq, libc.rseq_bytes, 1, kRseqSignature);
    sys(__NR_set_robust_list, nullptr, 24);
    long tid = sys(__NR_set_tid_address, nullptr);

    g_policy = q.policy;
    g_host_no_new_privs = q.host_no_new_privs;
    r = segment_bases_init(hwcap2(q.stack.auxv));
    if (!r) r = trap_init(q.cpu);
    if (r) {
        why->clear();
        why->add("this CPU or kernel lacks XSAVE or FSGSBASE, which ocrun needs");
        return r;
    }
    u64 stack_bytes = q.policy->stack.runtime_stack_bytes;
    coroutine_pool_init(stack_bytes ? stack_bytes : 24 * 1024);
    KThread* worker = kthread_alloc(ThreadKind::worker);
    Coroutine* c = worker ? coroutine_alloc() : nullptr;
    if (!c) {
        why->clear();
        why->add("no memory for the first coroutine");
        return -ENOMEM;
    }
    reset_xstate(c);
    worker->tid = u32(tid);
    r = trap_thread_attach(worker);
    OC_CHECK(r == 0);
    g_pid = u32(sys(__NR_getpid));
    dispatch_init();
    scheduler_init({readiness_poll, readiness_kick, signal_drain, [] { stack_trims_run(true); }, signals_worker_starts}, worker);
    workers_init(worker, q.policy->scheduler.workers);
    cpus_init(q.policy->scheduler.pin_workers);
    cpus_worker(worker, 0);
    tick_init(q.policy->scheduler.preempt, q.policy->scheduler.quantum_min_ns, q.policy->scheduler.quantum_max_ns);
    ring_init(q.policy->io.backend, q.policy->io.offload_threads_max);
    offload_init(q.policy->io.offload_threads_max);
    signals_init(q.ignored_signals);
    r = trap_install_sigsys();
    OC_CHECK(r == 0);
    dump_init();
    rewrite_init({hold_others, let_others_go, want_sigill}, q.policy->rewrite);
    if (q.policy->observe.level) observe_begin(q.policy->observe.level, q.policy->observe.directory);

    r = set_process_identity(image, stack, q.comm);
    if (r) {
        why->clear();
        why->add("the kernel refuses PR_SET_MM_MAP (").add(errno_name(r)).add("), so brk cannot be the guest's: CONFIG_CHECKPOINT_RESTORE is needed");
        return r;
    }
    c->tid = g_pid;
    c->is_main = true;
    text_copy(c->name, sizeof c->name, q.comm);
    c->regs.rip = image.entry;
    c->regs.rsp = stack.rsp;
    c->regs.eflags = kInitialEflags;
    c->mask = q.signal_mask & ~kUnblockable;
    c->fs_base = 0;
    guest_filters_begin(c);
    registry_add(c);
    c->resume = first_entry;

    if (q.filter) {
        r = install_program(q.filter, q.filter_length);
        if (r) {
            why->clear();
            why->add("the kernel refused the seccomp filter (").add(errno_name(r)).add("): ").add(errno_text(r));
            return r;
        }
    }
    host_set_mask(c->mask);
    scheduler_start(c);
}

}  // namespace ocrun
