// trap.h - the door between guest and runtime: what is saved on the way in, restored on the way out
//
// In:  seccomp raises SIGSYS; oc_on_sigsys (trap.cc) runs on the kernel thread's alt stack, copies the interrupted
//      registers and extended state into the GuestContext that the thread was running, and leaves the handler for
//      oc_enter_syscall on the context's runtime stack. The signal frame is abandoned: SIGSYS has an empty mask and
//      SA_NODEFER, so nothing has to be undone.
// Out: oc_resume_guest (trap_x86_64.S) loads everything back and leaves by iretq. The context keeps all state until
//      the iretq, so a signal that lands in [oc_exit_begin, oc_exit_end) abandons the exit and runs it again.
//
// Rewritten sites (rewrite/rewrite.h) come in without a signal: their stub jumps to oc_stub_entry with rcx = the address
// behind the `syscall`, which stores the general registers and leaves the extended state in the CPU (xstate_live) until
// the coroutine is switched out or a signal frame wants it.
//
// FS and vector registers are always the guest's: the core uses neither (scripts/check-core proves it), so entering
// costs no FS write. GS is the runtime's: it holds the TrapThread of the kernel thread. The trap itself finds the
// TrapThread from the alt stack's address, because a guest may change GS without a system call.
#pragma once
#include <signal.h>
#include <ucontext.h>

#include <atomic>

#include "runtime/base/syscall.h"

namespace ocrun {

// The order is that of the kernel's struct sigcontext (arch/x86/include/uapi/asm/sigcontext.h, struct sigcontext_64).
struct GuestRegs {
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u64 cs_gs_fs_ss;  // four 16-bit selectors
    u64 err, trapno, oldmask, cr2;
};
inline constexpr size_t kRegsBytes = 23 * 8;
static_assert(sizeof(GuestRegs) == kRegsBytes);

// One guest thread's user-visible machine state. Base of Coroutine (runtime/context/coroutine.h).
struct GuestContext {
    GuestRegs regs;
    u64 iret[5];        // rip, cs, eflags, rsp, ss: filled by the exit path
    u8* xsave;          // standard-format XSAVE area, 64-byte aligned, xsave_bytes() long
    u64 runtime_stack;  // top of the runtime stack, 16-byte aligned
    u64 fs_base;        // valid while the context is switched out (seccomp/segment_bases.h)
    u64 gs_base;        // the guest's GS base (ARCH_SET_GS); the CPU's GS is the runtime's
    u32 trap_arch;      // AUDIT_ARCH_* of the last trap
    u32 trap_nr;        // number of the last trap
    bool xstate_live;   // the extended state is in the CPU, not in xsave: entered by a stub, not switched out since
    // A call through the function table keeps the control words of the extended state (table_x86_64.S).
    bool table_words_set;  // the CPU has them: no other context's were loaded since
    u32 table_mxcsr;
    u16 table_x87_control;
    u32 table_scratch;
    // While it is not live: where zmm16-31 are if it has them in use (shared_high.h); nullptr: in xsave. While it is: what they may equal.
    u8* high;
};

inline constexpr size_t kThreadBlockBytes = 128 * 1024;

// One kernel thread of ours. It sits at the start of a block of kThreadBlockBytes, aligned to that size, whose end is
// the thread's alt stack; GS points to it. Base of KThread (runtime/context/kthread.h).
struct TrapThread {
    TrapThread* self;
    GuestContext* current;     // the context whose guest code this thread runs, or last ran
    std::atomic<u32> latched;  // a host signal, a tick or a kick wants the next exit to look
    u32 tid;
    u32 in_use;  // components of the extended state in use in the CPU, known between a save and a restore; else kNotKnown
};
inline constexpr u32 kNotKnown = ~0u;

// Offsets used by trap_x86_64.S.
inline constexpr size_t kOffIret = 184, kOffXsave = 224, kOffStack = 232, kOffGsBase = 248, kOffArch = 256, kOffNr = 260, kOffLive = 264,
                        kOffTableWordsSet = 265, kOffTableMxcsr = 268, kOffTableX87 = 272, kOffTableScratch = 276, kOffHigh = 280;
static_assert(offsetof(GuestContext, iret) == kOffIret && offsetof(GuestContext, xsave) == kOffXsave &&
              offsetof(GuestContext, runtime_stack) == kOffStack && offsetof(GuestContext, gs_base) == kOffGsBase &&
              offsetof(GuestContext, trap_arch) == kOffArch && offsetof(GuestContext, trap_nr) == kOffNr &&
              offsetof(GuestContext, xstate_live) == kOffLive && offsetof(GuestContext, table_words_set) == kOffTableWordsSet &&
              offsetof(GuestContext, table_mxcsr) == kOffTableMxcsr &&
              offsetof(GuestContext, table_x87_control) == kOffTableX87 && offsetof(GuestContext, table_scratch) == kOffTableScratch && offsetof(GuestContext, high) == kOffHigh);
static_assert(offsetof(TrapThread, current) == 8 && offsetof(TrapThread, latched) == 16 && offsetof(TrapThread, in_use) == 24);
static_assert(offsetof(GuestRegs, r12) == 32 && offsetof(GuestRegs, rbp) == 80 && offsetof(GuestRegs, rbx) == 88 &&
              offsetof(GuestRegs, rax) == 104 && offsetof(GuestRegs, rsp) == 120 && offsetof(GuestRegs, rip) == 128);

inline TrapThread* trap_thread() {
    TrapThread* t;
    asm volatile("mov %%gs:0, %0" : "=r"(t));
    return t;
}
inline TrapThread* trap_thread_of_stack(const void* address_in_alt_stack) {
    return (TrapThread*)((u64)address_in_alt_stack & ~u64(kThreadBlockBytes - 1));
}

// Bytes of the CPU's XSAVE area for what the kernel enabled (CPUID leaf 0xD), rounded up to 64.
size_t xsave_bytes();
// The same, not rounded: what a signal frame carries.
size_t xsave_exact_bytes();
// State components the kernel enabled (XCR0).
u64 xsave_features();

// What CPUID says about the extended state, and what else of the CPU is found out once. Handed on at an exec: each CPUID costs
// microseconds in a virtual machine.
struct CpuFacts {
    u32 xsave_bytes;  // XSAVE area for what the kernel enabled, not rounded
    u32 plain;        // components moved by plain moves (xstate_x86_64.S), 0: none
    u32 masks;        // where the mask registers lie in the area
    u32 high;         // where zmm16-31 lie if plain moves may handle them, else 0
    u32 keys;         // where the rights of protection keys lie, 0: the CPU or the kernel has none
    u32 spoilt_returns;  // the kernel leaves its own addresses in this CPU's return stack (hot_syscall)
    u32 even_ticks;      // kernel_trusts_ticks (runtime/base/tick_clock.h)
};
const CpuFacts& cpu_facts();

// Start-up: 0 or -errno. Measures the XSAVE area unless told (`known`, else nullptr).
long trap_init(const CpuFacts* known);
// Installs `handler` for SIGSYS as described above.
long trap_install_sigsys();
// Gives the calling kernel thread its alt stack (the end of its block) and its GS base. 0 or -errno.
long trap_thread_attach(TrapThread* thread);

// Is the address inside the runtime's own text?
bool in_runtime(u64 rip);
// The interrupted state of a signal frame -> the context.
void save_context(GuestContext* c, const ucontext_t* uc);
// The extended state alone.
void save_xstate(GuestContext* c, const ucontext_t* uc);
// The extended state from the CPU into the context, where it then is. Only for a context with xstate_live.
void save_live_xstate(GuestContext* c);
// From a handler: abandon the frame, run `entry(c)` on the context's runtime stack.
[[noreturn]] void leave_handler(GuestContext* c, void (*entry)(GuestContext*));
// Copies the xstate of `from`, the calling context, to `to`, which is fresh.
void copy_xstate(GuestContext* to, const GuestContext* from);
// For whoever reads xsave itself: all of it is there. Not for a context with xstate_live.
void complete_xstate(GuestContext* c);
// Whoever wrote to xsave itself, all of it, says so afterwards.
void xstate_written(GuestContext* c);
// A clean extended state: all components initial, default mxcsr and x87 control word, the rights of protection keys that the
// kernel gives to new programs and to signal handlers.
void reset_xstate(GuestContext* c);
// Control words other than the initial ones, into a context that reset_xstate made clean.
void set_control_words(GuestContext* c, u32 mxcsr, u16 x87_control);
// The present rights of protection keys into a context whose extended state is not live.
void keep_key_rights(GuestContext* c);
// The kernel enters handlers with initial rights, and other coroutines have others: what the runtime reads and writes for a guest is
// done with that guest's. g_key_rights_used: somebody had rights other than the initial ones.
extern bool g_key_rights_used;
void load_key_rights(const GuestContext* c);
// The calling kernel thread never runs guest code; what it reads and writes for guests may have any key.
void open_all_keys();

extern "C" {
// Loads everything and jumps into the guest. When TrapThread.latched is set it goes to oc_exit_again instead.
[[noreturn]] void oc_resume_guest(GuestContext* c);
extern char oc_exit_begin[], oc_exit_end[];
// Where a handler sends an exit that it interrupted: switches to the current context's runtime stack and calls
// oc_exit_loop(current).
[[noreturn]] void oc_exit_again();

// Calls through the function table (table_x86_64.S) return by the ABI; in [oc_table_exit_begin, oc_table_exit_end) their context
// holds everything, and a handler sends them to oc_table_again, which leaves by oc_exit_loop.
extern char oc_table_exit_begin[], oc_table_exit_end[];
[[noreturn]] void oc_table_again();

// A system call that a latched signal interrupts even when it arrives just before the instruction: -EINTR. A handler
// that finds RIP in [oc_intr_begin, oc_intr_end) sets it to oc_intr_abort.
long oc_syscall_intr(long nr, long a, long b, long c, long d, long e, long f);
extern char oc_intr_begin[], oc_intr_end[], oc_intr_abort[], oc_intr_never[];
// The same routine, telling also whether the kernel saw the call: after a -EINTR with begun == 0 the signal came first.
struct IntrResult {
    long result, begun;
};
IntrResult oc_syscall_intr_told(long nr, long a, long b, long c, long d, long e, long f) asm("oc_syscall_intr");

// Set: CpuFacts::spoilt_returns. Behind a system call oc_fill_returns then puts harmless entries on the return stack and jumps to rcx.
extern u32 oc_returns_spoilt;
extern char oc_fill_returns[];

// clone(2) whose child starts on another runtime stack in child(argument); returns in the parent only.
long oc_clone_child(u64 flags, void* stack_top, void* parent_tid, void* child_tid, void (*child)(void*), void* argument);

// Where stubs jump to: the guest's registers as before a system call, rcx = the address behind it.
extern char oc_stub_entry[];

// Implemented by runtime/syscalls (dispatch.cc) and runtime/signal.
[[noreturn]] void oc_enter_syscall(GuestContext* c);
// The same from a stub.
[[noreturn]] void oc_enter_stub(GuestContext* c);
[[noreturn]] void oc_exit_loop(GuestContext* c);
// A SIGSYS that is not a seccomp trap of ours (kill -SYS): treated as any host signal.
void oc_on_host_signal(int sig, siginfo_t* info, ucontext_t* uc);
}

// A system call where every nanosecond counts. On some AMD CPUs the kernel returns by call and ret that do not pair ("Safe RET",
// Documentation/admin-guide/hw-vuln/srso.rst): their entries stay on the return stack, and the first return behind a call, the guest's
// own too, runs into them: 74 ns on a Zen 4, where one into user space that is merely wrong costs 6.
inline long hot_syscall(long nr, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile(
        "syscall\n\t"
        "cmpl $0, oc_returns_spoilt(%%rip)\n\t"
        "je 1f\n\t"
        "lea 1f(%%rip), %%rcx\n\t"
        "jmp oc_fill_returns\n"
        "1:"
        : "=a"(result)
        : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
        : "rcx", "r11", "memory", "cc");
    return result;
}
template <class A = int, class B = int, class C = int, class D = int, class E = int, class F = int>
inline long hot_sys(long nr, A a = {}, B b = {}, C c = {}, D d = {}, E e = {}, F f = {}) {
    return hot_syscall(nr, sysarg(a), sysarg(b), sysarg(c), sysarg(d), sysarg(e), sysarg(f));
}

// The way to the guest as a jump: a call that does not return would leave an entry on the return stack.
[[noreturn]] inline void resume_guest(GuestContext* c) {
    asm volatile("jmp oc_resume_guest" : : "D"(c) : "memory");
    __builtin_unreachable();
}

}  // namespace ocrun
