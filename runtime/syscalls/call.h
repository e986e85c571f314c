// call.h - one system call on its way through the runtime
//
// oc_enter_syscall (dispatch.cc) finds the row's handler in syscall_table.def and calls it on the coroutine's runtime
// stack. A handler returns what the guest's rax gets, or one of the kernel's internal restart codes, which dispatch turns
// into -EINTR or a repeated call by the rules of signal(7). Handlers never see a call that the policy answered itself.
#pragma once
#include "config/policy.h"
#include "runtime/io/offload.h"
#include "runtime/sched/scheduler.h"
#include "runtime/signal/signals.h"

namespace ocrun {

struct Call {
    Coroutine* c;
    u32 nr;
    u64 a[6];
};
using Handler = long (*)(Call&);
// The call that c makes, for what is left of it (Coroutine::resume).
inline Call call_in_progress(Coroutine* c) {
    return {c, c->call_nr, {c->regs.rdi, c->regs.rsi, c->regs.rdx, c->regs.r10, c->regs.r8, c->regs.r9}};
}

// include/linux/errno.h: never seen by user space.
inline constexpr long kRestartSys = -512;           // again if SA_RESTART, else EINTR
inline constexpr long kRestartNoIntr = -513;        // always again
inline constexpr long kRestartNoHand = -514;        // EINTR if a handler runs, else again
inline constexpr long kRestartRestartBlock = -516;  // as NoHand; Coroutine::restart_deadline_ns says till when
// What no guest sees either. The call as it is, without a wait: run() makes it, which saves a return behind it.
inline constexpr long kAsItIs = -599;
// A wait for a word, for time or for a descriptor has begun (wait_prepare), and is to go on without a runtime stack: c->resume has the
// rest of the handler, and returns the result, kCallAgain for the same call once more, kParks to wait on, or kNoResult where there is
// none to store.
// (A result may look like it: lseek in /proc/self/mem.)
inline constexpr long kParks = long(1ul << 63), kCallAgain = kParks + 1, kNoResult = kParks + 2;
inline constexpr bool is_restart(long r) { return r <= -512 && r >= -516; }

inline long native(const Call& call) {
    return hot_syscall(call.nr, (long)call.a[0], (long)call.a[1], (long)call.a[2], (long)call.a[3], (long)call.a[4], (long)call.a[5]);
}
// The call in the kernel, ended early (-EINTR) by a latched signal.
inline long native_interruptible(const Call& call) {
    return oc_syscall_intr(call.nr, (long)call.a[0], (long)call.a[1], (long)call.a[2], (long)call.a[3], (long)call.a[4], (long)call.a[5]);
}

// Does a call of c that waits block in the kernel, worker and all? It does while the process has one coroutine, for a
// coroutine with a kernel thread of its own, and where the policy says `native`.
inline bool blocks_here(const Coroutine* c) { return !g_multi || c->blocks_here; }
// Makes a call that may block for as long as it likes: in the kernel when the coroutine is alone in its process, by a
// helper otherwise. When a signal for the coroutine ends it, `interrupted` is returned.
long blocking_call(Call& call, long interrupted, const char* what);
// The same for a call that is not expected to wait: a signal from before it comes before it, and the call is made afterwards.
long brief_call(Call& call, const char* what);
// The same for a wait for a disk: no signal ends it.
long disk_call(Call& call, const char* what);
// Same for a call that must not be repeated by us when only a signal without effect interrupted it: deadline-free calls.
long blocking_native(Call& call, long interrupted);

// Any signal cuts some calls short in the kernel, natively one of the guest's alone. Taken before such a call; behind it, when that did
// part of its work: did signals come, ticks, kicks or other threads', and none for c? Then natively none would have been there.
class SignalMark {
public:
    SignalMark() : thread_(this_thread()), seen_(__atomic_load_n(&thread_->signals_seen, __ATOMIC_RELAXED)) {}
    bool only_ours_came(const Coroutine* c) const {
        if (this_thread() == thread_ && __atomic_load_n(&thread_->signals_seen, __ATOMIC_RELAXED) == seen_) return false;
        attend();
        return !signal_pending(c);
    }

private:
    KThread* thread_;
    u32 seen_;
};
// blocking_native for such a call that moves at most `wanted` bytes. take_off(call, n): n of them are done.
template <class TakeOff>
long native_in_whole(Call call, u64 wanted, TakeOff take_off) {
    for (u64 done = 0;;) {
        SignalMark before;
        long r = blocking_native(call, kRestartSys);
        if (r <= 0) return done ? long(done) : r;
        done += u64(r);
        if (done >= wanted || !before.only_ours_came(call.c)) return long(done);
        take_off(call, u64(r));
    }
}

// Absolute CLOCK_MONOTONIC deadline of a relative guest timespec/timeval pointer (0: kNever). 0 or -errno.
struct Timespec64 {
    i64 tv_sec, tv_nsec;
};
long deadline_from(const Timespec64& relative, u64* deadline_ns);
Timespec64 remaining(u64 deadline_ns);

#define OC_SYSCALL(nr, name, args, groups, hook, condition, can_park, handler, limitation) long handler(Call&);
#include "seccomp/syscall_table.def"
#undef OC_SYSCALL

// The policy in force, and what the process was started with (syscalls/dispatch.cc).
extern const Policy* g_policy;

}  // namespace ocrun
