// dispatch.cc - from the trap to a handler and back to the guest
//
// The way of one call: SIGSYS (seccomp/trap.cc) or a rewritten site -> oc_enter_syscall -> policy -> handler -> result or
// restart code -> oc_exit_loop (signals, preemption) -> oc_resume_guest (seccomp/trap_x86_64.S).
#include <asm/errno.h>
#include <linux/audit.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/memory/trims.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/process/rule_turns.h"
#include "runtime/sched/observe.h"
#include "runtime/syscalls/call.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/hooks.h"
#include "seccomp/segment_bases.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

const Policy* g_policy;

namespace {

OC_APART Handler g_handlers[kSyscallLimit];

constexpr u64 kNanosecondsPerSecond = 1000000000ul;

void log_call(const Call& call, long result) {
    TextBuffer<256> text;
    text.add("log: thread ").dec(call.c->tid).add(" ");
    const char* name = syscall_name(call.nr);
    if (name)
        text.add(name);
    else
        text.add("syscall_").dec(call.nr);
    text.add("(");
    for (int i = 0; i < 6; i++) text.add(i ? ", " : "").hex(call.a[i]);
    text.add(") = ").dec(result);
    log_line(text);
}

void sleep_for(Coroutine* c, u64 ns) {
    u64 deadline = now_ns() + ns;
    if (g_multi && !c->direct) {
        while (now_ns() < deadline) {
            wait_begin(c, false);
            wait_park(c, deadline, "policy delay", 0);
        }
        return;
    }
    timespec t{time_t(deadline / kNanosecondsPerSecond), long(deadline % kNanosecondsPerSecond)};
    while (sys(__NR_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == -EINTR) {
    }
}

bool left_to_the_kernel(u32 nr) {
    const SyscallRow* row = syscall_row(nr);
    return !row || (row->hook != Hook::required && !signal_shows(nr));
}

long made_as_native(Call& call) {
    const SyscallRow* row = syscall_row(call.nr);
    return row && row->can_park ? blocking_native(call, kRestartSys) : native(call);
}

[[gnu::always_inline]] inline long as_usual(Call& call, Handler handler) {
    long r = handler == h_generic ? kAsItIs : handler(call);
    return r == kAsItIs ? native(call) : r;
}

// A call about which the policy says something.
[[gnu::noinline]] long run_by_rule(Call& call, Handler handler, const SyscallRule& rule, bool again) {
    Coroutine* c = call.c;
    c->leaves_stack = false;
    if (rule.turns != 0) {
        if (!again) c->rule_holds = rule_has_its_turn(*g_policy, rule, call.nr);
        if (!c->rule_holds) return as_usual(call, handler);
    }
    if (rule.delay_us != 0 && !again) sleep_for(c, u64(rule.delay_us) * 1000);
    long r;
    c->blocks_here = c->pinned || rule.action == Action::native;
    switch (rule.action) {
        case Action::ret:
            r = rule.value;
            break;
        case Action::deny:
            r = rule.value ? rule.value : -EPERM;
            break;
        case Action::offload:
            // Identity, hidden descriptors, SIGPIPE and so on are the handler's; it leaves what may block to a helper
            // (wants_helper in io_wait.cc, blocking_call and its sisters).
            r = handler == h_generic && !blocks_here(c) ? brief_call(call, "offloaded call") : handler(call);
            if (r == kAsItIs) r = native(call);
            break;
        case Action::native:
            // Most are here by a rewritten site only; what must be seen here is seen all the same (trap_of).
            r = left_to_the_kernel(call.nr) ? made_as_native(call) : handler(call);
            if (r == kAsItIs) r = native(call);
            break;
        default:
            r = as_usual(call, handler);
    }
    if (rule.log && !is_restart(r)) log_call(call, r);
    return r;
}

// `again`: what interrupted the call was not the guest's, so it goes on.
[[gnu::always_inline]] inline long run(Call& call, bool again) {
    Coroutine* c = call.c;
    if (__builtin_expect(c->trap_arch != AUDIT_ARCH_X86_64, 0)) {
        static bool told;
        if (!told) log_line("a 32-bit (int 0x80) or x32 system call was answered with ENOSYS: ocrun runs x86-64 calls only");
        told = true;
        return -ENOSYS;
    }
    if (__builtin_expect(guest_filters_present(c), 0)) {
        long verdict;
        if (guest_filters_decide(call, &verdict)) return verdict;
    }
    Handler handler = c->direct ? direct_call : call.nr < kSyscallLimit ? g_handlers[call.nr] : nullptr;
    if (call.nr >= kSyscallLimit || !handler) return handler ? handler(call) : native(call);
    c->blocks_here = c->pinned;
    const SyscallRule& rule = g_policy->rules[call.nr];
    if (__builtin_expect(!says_nothing(rule), 0)) return run_by_rule(call, handler, rule, again);
    c->leaves_stack = !again && !c->pinned && !c->direct;
    return as_usual(call, handler);
}

void run_again(Coroutine* c, u32 nr);

// The call ends without a signal's doing: goes on if something merely interrupted it, else its temporary mask ends. True
// when there is something new to look at.
bool settle_call(Coroutine* c) {
    bool masked = c->restore_mask;
    if (masked) {
        c->restore_mask = false;
        signal_set_mask(c, c->saved_mask);
    }
    if (!c->restart) return masked;
    c->restart = 0;
    run_again(c, c->restart_nr);
    return true;
}

[[gnu::always_inline]] inline void store_result(Coroutine* c, u32 nr, long r) {
    observe_return(c, nr, r);
    c->call_nr = kNoCall;
    if (is_restart(r)) {
        c->restart = r;
        c->restart_nr = nr;
        return;
    }
    c->restart_deadline_ns = 0;
    c->regs.rax = u64(r);
}

// Inlined on the way in: returns behind a system call are mispredicted on some CPUs (hot_syscall).
// False: it parks (kParks).
[[gnu::always_inline]] inline bool run_and_store(Coroutine* c, u32 nr, bool again) {
    this_thread()->calls++;
    Call call{c, nr, {c->regs.rdi, c->regs.rsi, c->regs.rdx, c->regs.r10, c->regs.r8, c->regs.r9}};
    c->call_nr = nr;
    c->calls++;
    observe_call(c, nr);
    long r = run(call, again);
    if (r == kParks && c->prepared) return false;
    store_result(c, nr, r);
    return true;
}

void run_again(Coroutine* c, u32 nr) { run_and_store(c, nr, true); }

// What woke it was no reason to end the call: still the same one for whoever counts.
[[gnu::noinline]] void call_goes_on(Coroutine* c) {
    Call call = call_in_progress(c);
    store_result(c, call.nr, run(call, true));
}

}  // namespace

void dispatch_init() {
#define OC_SYSCALL(nr, name, args, groups, hook, condition, can_park, handler, limitation) g_handlers[nr] = handler;
#include "seccomp/syscall_table.def"
#undef OC_SYSCALL
}

namespace {

// Until nothing is left to do before the guest goes on.
void finish_call(Coroutine* c) {
    for (;;) {
        KThread* t = this_thread();
        if (!c->direct) {
            attend();
            t = this_thread();
            if (bool ticked = t->need_resched.load(std::memory_order_relaxed); ticked || t->retaken.load(std::memory_order_relaxed)) {
                t->need_resched.store(false, std::memory_order_relaxed);
                stack_trims_run(false);
                if (g_multi && preempted(c, ticked)) continue;
                t = this_thread();
            }
            if (signal_pending(c)) {
                bool runs = false;
                u64 flags = 0;
                GuestRegs before = c->regs;
                // The frame must hold the registers as the handler's return shall find them.
                long restart = c->restart;
                if (restart) {
                    u64 set = signal_pending_set(c) & ~c->mask;
                    if (set) {
                        bool again = restart == kRestartNoIntr ||
                                     (restart == kRestartSys && (signal_next_flags(c) & SA_RESTART));
                        if (again) {
                            c->regs.rax = c->restart_nr;
                            c->regs.rip -= 2;
                        } else {
                            c->regs.rax = u64(-EINTR);
                        }
                    }
                }
                bool acted = signal_deliver(c, &runs, &flags);
                if (runs) {
                    c->restart = 0;
                    c->restart_deadline_ns = 0;
                } else if (restart) {
                    c->regs = before;
                }
                if (acted) continue;
            }
        } else {
            direct_signals(c);
        }
        if (settle_call(c)) continue;
        break;
    }
}

}  // namespace

namespace {

// The rest of the way to the guest.
[[noreturn]] [[gnu::always_inline]] inline void leave(Coroutine* c) {
    finish_call(c);
    keep_fs_base(c);
    resume_guest(c);
}

// One without a stack begins on this one. Returns whose call is done: another one's, where c has to go on waiting.
[[gnu::always_inline]] inline Coroutine* go_on(Coroutine* c) {
    for (;;) {
        if (__builtin_expect(g_key_rights_used, 0)) load_key_rights(c);
        long r = c->resume(c);
        if (__builtin_expect(r == kParks && c->prepared, 0)) {
            c = park_without_stack(c);
            continue;
        }
        if (r == kCallAgain)
            call_goes_on(c);
        else if (r != kNoResult)
            store_result(c, c->call_nr, r);
        return c;
    }
}

[[noreturn]] [[gnu::always_inline]] inline void enter(Coroutine* c) {
    c->restart = 0;
    if (__builtin_expect(c->trim_to != 0, 0) && c->trap_nr != __NR_exit) stack_trim_now(c);
    if (__builtin_expect(c->trap_nr == __NR_rt_sigreturn, 0) && c->trap_arch == AUDIT_ARCH_X86_64) {
        c->restart_deadline_ns = 0;
        signal_return(c);
    } else {
        if (!run_and_store(c, c->trap_nr, false)) c = go_on(park_without_stack(c));
    }
    leave(c);
}

}  // namespace

extern "C" void oc_go_on(Coroutine* c) {
    leave(go_on(c));
}

extern "C" void oc_exit_loop(GuestContext* g) { leave(static_cast<Coroutine*>(g)); }

extern "C" void oc_enter_stub(GuestContext* g) { enter(static_cast<Coroutine*>(g)); }

extern "C" void oc_enter_syscall(GuestContext* g) {
    Coroutine* c = static_cast<Coroutine*>(g);
    if (!c->direct && c->trap_arch == AUDIT_ARCH_X86_64) rewrite_saw_trap(c->regs.rip - 2, c->trap_nr);
    oc_enter_stub(c);
}

long blocking_native(Call& call, long interrupted) {
    for (;;) {
        IntrResult r = blocking_syscall(call.nr, call.a);
        if (r.result != -EINTR) return r.result;
        attend();
        // A signal from before the call is handled before it, as natively: a call that never waits must not see EINTR.
        if (signal_pending(call.c)) return r.begun ? interrupted : kRestartNoIntr;
    }
}

long blocking_call(Call& call, long interrupted, const char* what) {
    if (blocks_here(call.c)) return blocking_native(call, interrupted);
    for (;;) {
        long r = offload_call(call.c, call.nr, call.a, what);
        if (r != -EINTR) return r;
        if (signal_pending(call.c)) return interrupted;
    }
}

long brief_call(Call& call, const char* what) {
    if (blocks_here(call.c)) return blocking_native(call, kRestartSys);
    for (;;) {
        IntrResult r = offload_call_told(call.c, call.nr, call.a, what);
        if (r.result != -EINTR) return r.result;
        if (signal_pending(call.c)) return r.begun ? kRestartSys : kRestartNoIntr;
    }
}

long disk_call(Call& call, const char* what) {
    if (blocks_here(call.c)) return blocking_native(call, kRestartSys);
    return offload_uninterruptible(call.c, call.nr, call.a, what);
}

long deadline_from(const Timespec64& t, u64* deadline_ns) {
    if (t.tv_sec < 0 || t.tv_nsec < 0 || u64(t.tv_nsec) >= kNanosecondsPerSecond) return -EINVAL;
    // The kernel saturates at KTIME_MAX too.
    constexpr u64 kFar = ~0ul >> 2;
    u64 span = u64(t.tv_sec) > kFar / kNanosecondsPerSecond ? kFar : u64(t.tv_sec) * kNanosecondsPerSecond + u64(t.tv_nsec);
    *deadline_ns = now_or_later_ns() + span;
    return 0;
}

Timespec64 remaining(u64 deadline_ns) {
    u64 now = now_ns();
    u64 left = deadline_ns > now ? deadline_ns - now : 0;
    return {i64(left / kNanosecondsPerSecond), i64(left % kNanosecondsPerSecond)};
}

long h_generic(Call& call) { return native(call); }

}  // namespace ocrun
