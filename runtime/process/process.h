// process.h - threads, processes and programs: clone, fork, vfork, exec, exit
//
// A thread is a coroutine. A fork is the kernel's own, made from the coroutine's runtime stack: the child has one kernel
// thread, and after_fork rebuilds the runtime around the one coroutine that called. A vfork (or any CLONE_VM child) shares
// memory, so it must not touch the scheduler: it runs on a temporary "direct" coroutine with its own KThread, every call
// of it is made natively, never parks, and its signal actions are a private copy. An exec is an exec of ocrun itself
// with the state the new image needs in a memfd (host/handoff.h).
// Follows clone(2), fork(2), vfork(2), execve(2), exit(2), set_tid_address(2), get_robust_list(2).
#pragma once
#include "runtime/host/handoff.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

// What all processes of the tree share (host/handoff.h).
extern std::atomic<Shared*> g_tree_shared;
Shared* tree_shared_map();
inline Shared* tree_shared() {
    Shared* s = g_tree_shared.load(std::memory_order_acquire);
    return __builtin_expect(s != nullptr, 1) ? s : tree_shared_map();
}

// PR_SET_PDEATHSIG (parent_death.cc): c, of a process of one thread or a vfork child, asked the kernel for it; a thread ends; the
// process ends.
ForkedBy forked_by(const Coroutine* c);
void set_forked_by(const ForkedBy& by);
void parent_death_asked(Coroutine* c, u32 sig);
void parent_death_thread_ends(const Coroutine* c);
void parent_death_forget();

extern u32 g_pid;
// Forks between the program's first process and this one: a child may have its parent's pid, in a namespace of its own.
extern u32 g_forks;
// Children that run in this memory outside of the scheduler (vfork, CLONE_VM), as far as it is known that they may.
extern std::atomic<u32> g_direct_children;

struct CloneRequest {
    u64 flags;  // without the exit signal
    u64 exit_signal;
    u64 stack;  // the child's stack pointer, 0: the parent's
    u64 parent_tid, child_tid, tls, pidfd;
    const void* clone3;  // guest struct clone_args for the kernel, nullptr for the older calls
    u64 clone3_bytes;    // at most sizeof(clone_args)
};
// c, the only one so far, is about to have company: from here on signals, clocks, rewriting and the rest expect several (g_multi).
void enter_multi(Coroutine* c);
long process_clone(Call& call, const CloneRequest& request);

// execveat; returns only on failure.
long process_exec(Call& call, int dirfd, u64 path, u64 argv, u64 envp, u32 flags);

// SYS_exit of one thread; does not return to the guest.
[[noreturn]] void thread_exit(Coroutine* c, int code);
// The end of one thread that a signal is given as the cause of: the others go on (do_exit of SECCOMP_RET_KILL_THREAD).
[[noreturn]] void thread_killed(Coroutine* c, int sig);
[[noreturn]] void process_exit(Coroutine* c, int code);

// A signal that came to c is about to end the process: what c holds of robust mutexes in shared memory gets FUTEX_OWNER_DIED. (With one
// thread the kernel sees to it; of the other threads' who waits for them, syscalls/futex_calls.cc.)
void thread_dies_with_process(Coroutine* c);
// Before an exec: robust mutexes in shared memory that this process's threads hold get FUTEX_OWNER_DIED; what is private goes
// with the memory.
void process_release_shared();

// A call of a vfork or CLONE_VM child.
long direct_call(Call& call);
// At its exit to the guest: acts on what its handlers latched, by its own actions.
void direct_signals(Coroutine* c);
// Takes one latched signal of `set`.
bool direct_take_latched(u64 set, siginfo_t* info);

// A lone thread asks to be traced by its parent (PTRACE_TRACEME). Natively nothing stops it before it executes a program, faults or gets a
// signal, so the tracer need not wait for it before; here each call that traps would be a stop. So tracing begins when one of these comes:
// tracing_begins, which does nothing otherwise. The child of a fork is not traced (tracing_dropped).
void tracing_wanted(Coroutine* c);
void tracing_begins(Coroutine* c);
void tracing_dropped(Coroutine* c);
// ptrace(2) and wait4(2) by such a child about our own threads (same_memory_tracer.cc). False: the kernel's to answer.
bool same_memory_ptrace(Call& call, long* result);
bool same_memory_wait(Call& call, long* result);
// Its tkill(2) and tgkill(2).
bool same_memory_tgkill(Call& call, u32 tid, int sig, long* result);

// A second thread appears: from the kernel's CPU clock to the scheduler's (syscalls/cpu_clock.cc).
void cpu_clock_enter_multi(Coroutine* c);
// The calling kernel thread, of a process with this one coroutine, gets what it asked for: nice value, policy, I/O priority. Its CPUs
// it has already (affinity_exact). From then on the kernel answers (syscalls/sched_calls.cc).
void hand_attributes_to_kernel(Coroutine* c);
// Time-stamp ticks as nanoseconds, by the rate observed since then.
u64 tsc_to_ns(u64 ticks);

// The executable's path as /proc/self/exe shall tell it.
extern char g_exe_path[4096];

}  // namespace ocrun
