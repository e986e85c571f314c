// signals.h - the guest's signals, kept by the runtime: dispositions, masks, pending sets, delivery
//
// Mechanism. The kernel delivers to our handlers, which only latch (host_signals.cc). The runtime takes latched signals
// into the pending set of the process or of one coroutine, wakes a coroutine that does not block them, and every way out
// to the guest (oc_exit_loop) delivers what is pending: it builds the frame the kernel would have built.
//
// Single mode (g_multi false): the process has one coroutine. The host's mask mirrors the guest's, so blocked signals
// stay in the kernel, and job control, signalfd, sigwait and exec see exactly what they see natively.
// Multi mode: masks are per coroutine, so the host blocks nothing and blocked signals wait in the runtime's sets.
//
// Host dispositions follow the guest's: ignored is ignored, a default action stays the kernel's own as long as no
// coroutine blocks or awaits the signal, a handler becomes ours. So a default death is a real death with the right status.
//
// Follows signal(7), sigaction(2), kernel/signal.c. Lock: g_signal_lock guards actions and pending sets.
#pragma once
#include "runtime/sched/scheduler.h"
#include "runtime/sched/tick.h"

namespace ocrun {

// Layout of the kernel's struct sigaction on x86-64.
struct SignalAction {
    u64 handler;  // 0 SIG_DFL, 1 SIG_IGN
    u64 flags;
    u64 restorer;
    u64 mask;
};

inline constexpr int kSignals = 64;
inline constexpr int kFirstRealtime = 32;  // the kernel's SIGRTMIN; libcs keep the first two or three for themselves
inline constexpr u64 signal_bit(int sig) { return 1ul << (sig - 1); }
// Ticks, kicks of helper threads and requests from outside; recognised by its siginfo, else it is the guest's.
inline constexpr int kInternalSignal = 64;
inline constexpr int kInternalTick = 0x0c720001, kInternalDump = 0x0c720002, kInternalObserve = 0x0c720003, kInternalKick = 0x0c720004;

static_assert(kInternalSignal == kTickSignal && kInternalTick == kTickValue && kInternalKick == kKickValue);

// With these a libc asks its other threads to change their credentials too (glibc's SIGSETXID, musl's SIGSYNCCALL).
inline constexpr bool setxid_signal(int sig) { return sig == 33 || sig == 34; }

inline constexpr u64 kUnblockable = signal_bit(SIGKILL) | signal_bit(SIGSTOP);
// Never blocked in the kernel on our threads: a trap, a fault or a tick must always get through.
inline constexpr u64 kHostNeverBlocked = kUnblockable | signal_bit(SIGSYS) | signal_bit(SIGSEGV) | signal_bit(SIGBUS) |
                                         signal_bit(SIGFPE) | signal_bit(SIGILL) | signal_bit(SIGTRAP) |
                                         signal_bit(kInternalSignal);

extern Lock g_signal_lock;
extern SignalAction g_actions[kSignals + 1];

// Start-up, in the order given: installs the runtime's own handlers, reads the inherited ignored set.
// `ignored`: the dispositions to start with; nullptr: the kernel's are asked for.
void signals_init(const u64* ignored);
// sigaction(2) for the process: 0 or -EINVAL. new_action/old_action may be null; both are runtime memory.
long signal_set_action(int sig, const SignalAction* new_action, SignalAction* old_action);
// Sets the coroutine's mask (KILL and STOP are dropped) and what follows from it in the kernel.
void signal_set_mask(Coroutine* c, u64 mask);
// As the mask of sigsuspend, ppoll ...: the old mask returns when the call ends or a handler returns.
void signal_set_temporary_mask(Coroutine* c, u64 mask);
// The first second thread: from mirroring the mask to keeping it.
void signals_enter_multi(Coroutine* c);
// The child of a fork: nothing pending, single mode again.
void signals_after_fork(Coroutine* c);
// Signals that some coroutine awaits must reach our handler even when their action is to ignore or to default.
void signal_want(u64 set);

// Generation. The info carries the number.
void signal_post_process(const siginfo_t& info);
void signal_post_thread(Coroutine* c, const siginfo_t& info);
// `from` no longer takes the signals of `set`: what the process has pending of them goes to somebody who does (as
// kernel/signal.c, retarget_shared_pending).
void signal_retarget(Coroutine* from, u64 set);
// Takes one signal of `set` from the coroutine's or the process's pending set (coroutine first, lowest number first).
bool signal_take(Coroutine* c, u64 set, siginfo_t* out);
u64 signal_pending_set(Coroutine* c);
// Whose the signal of a POSIX timer is (signal/timers_posix.cc); *target is set for of_thread alone. nobodys: its thread has ended, or the
// timer was deleted meanwhile.
enum class TimerSignal { of_process, of_thread, nobodys };
TimerSignal timer_signal_target(const siginfo_t& info, Coroutine** target);
// timer_create(2) with a guest struct sigevent: 0 or -errno.
long posix_timer_create(Coroutine* c, i32 clock, u64 guest_event, u64 guest_id);
// After one was made natively: by a lone thread, whose its signals are also when there are others, or for the process. 0 or -errno.
long posix_timer_created_natively(Coroutine* c, u64 guest_event, u64 guest_id);
// Before one is deleted.
void posix_timer_forget(i32 id);
// timer_settime(2): what the timer sent before nobody gets any more.
long posix_timer_set(i32 id, u64 flags, u64 guest_setting, u64 guest_old);
void posix_timers_after_fork();  // a child has none of them
// Of a POSIX timer (SI_TIMER), when it comes from the kernel: notes in it by how many settings it came.
void timer_signal_stamp(siginfo_t* info);
// Is further of its kind to be held back until it is delivered? Not where timers of several threads use the same signal: a thread that
// blocks it would keep it from the others. Nor where the kernel sends it to a worker's thread: whoever delivers it on another one could
// not count what is held back (absorb_held).
bool timer_signal_held_back(const siginfo_t& info);
// `more` goes into one that is pending, by the same timer: as an overrun, or in its place. False: they are of two timers.
bool timer_signal_merged(siginfo_t* pending, const siginfo_t& more);
// When the guest is to get one. False: the timer was deleted or set anew since, and nobody gets it.
bool timer_signal_counts(const siginfo_t& info);
// When it does: notes what timer_getoverrun(2) answers, for the kernel handed expirations over long before.
void timer_signal_delivered(siginfo_t* info);
long posix_timer_overrun(i32 id);
// By a POSIX timer, or by an interval timer (setitimer(2)).
inline bool signal_from_timer(const siginfo_t& info) {
    return info.si_code == SI_TIMER ||
           (info.si_code == SI_KERNEL && (info.si_signo == SIGALRM || info.si_signo == SIGVTALRM || info.si_signo == SIGPROF));
}
// Multi mode: signals of `set` that timers sent are no longer pending; the workers that hold them back (KThread::held) let the
// kernel send more. The calling worker does so itself (host_release_held).
void timer_signals_settled(u64 set);
void timer_signals_reset();  // multi mode begins
// To the process once more, with all that came with it. The kernel believes the sender's name only from the one who is named: a thread
// may say so of itself, and the signal is the process's all the same (kernel/signal.c, do_rt_sigqueueinfo, kill_pid_info).
inline long signal_send_again(const siginfo_t& info) { return sys(__NR_rt_sigqueueinfo, sys(__NR_gettid), info.si_signo, &info); }
// Latched host signals -> pending sets.
void signal_drain();

// Delivers one pending signal of c: true when c's state changed (a frame was pushed or the signal was dropped). Ends the
// process for a fatal default action. *handler_flags gets sa_flags when a handler will run, else stays.
bool signal_deliver(Coroutine* c, bool* handler_runs, u64* handler_flags);
// c is traced and about to act on a signal: stops until its tracer lets it go on. With that signal or another, or 0: with none
// (process/same_memory_tracer.cc).
int trace_stop(Coroutine* c, const siginfo_t& info);
// sa_flags of the handler that the next delivery would run (0 for default actions).
u64 signal_next_flags(Coroutine* c);
// rt_sigreturn: restores the state saved in the frame at rsp.
void signal_return(Coroutine* c);
// A fault the guest caused: as the kernel's force_sig, a blocked or ignored signal kills.
void signal_force(Coroutine* c, const siginfo_t& info);
[[noreturn]] void die_by_signal(int sig);
// Builds the frame of a handler; false when the stack cannot take it.
bool signal_push_frame(Coroutine* c, const siginfo_t& info, const SignalAction& action);
// The actions in force on a kernel thread: a vfork or CLONE_VM child has its own.
inline SignalAction* signal_actions_of(KThread* t) {
    return t->kind == ThreadKind::direct ? (SignalAction*)t->direct_actions : g_actions;
}
// For the direct child that calls: its action for a signal to be delivered now (SA_RESETHAND takes effect).
SignalAction signal_direct_take_action(int sig);

bool signal_is_ignored(int sig);
// The signals kept so at present, and a new worker's mask.
u64 signal_mirror_mask();
// Before one of them is sent from here: waits, but not for long, until every worker blocks them. One that does not yet takes the signal
// and hands it back, and a read of the signalfd meanwhile would find nothing.
void signal_mirror_settle();
void signals_worker_starts();
// Signals of a signalfd: kept blocked in the kernel as long as every coroutine blocks them.
void signal_mirror(u64 set);
// Mask the host thread really has, for native calls that look at it.
void host_set_mask(u64 mask);
// KThread::held of the caller: these were delivered, taken or dropped; the kernel may send more.
void host_release_held(u64 set);
// Before exec: the signals that are pending in the runtime go back to the kernel, blocked.
void signals_prepare_exec(Coroutine* c);

}  // namespace ocrun
