// signal_calls.cc - sigaction, masks, waiting for and sending signals (signal(7) and the pages it names)
#include <asm/errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

namespace {

constexpr u64 kSetBytes = 8;

// A coroutine by the thread id the guest knows, or nullptr.
Coroutine* find_thread(u32 tid) {
    Locked held(g_registry_lock);
    return registry_find(tid);
}

siginfo_t user_info(int sig, int code) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = sig;
    info.si_code = code;
    info.si_pid = int(g_pid);
    info.si_uid = u32(sys(__NR_getuid));
    return info;
}

// The process by its id, or by that of any of its threads (kill(2) takes both).
bool is_self(i64 pid) { return pid == i64(g_pid) || (g_multi && pid > 0 && find_thread(u32(pid))); }

// Signals that a signalfd waits for stay in the kernel, whoever sends them (signal_mirror).
bool kept_by_kernel(i32 sig) {
    if (sig < 1 || sig > kSignals || !(signal_mirror_mask() & signal_bit(sig))) return false;
    signal_mirror_settle();
    return true;
}

// Nobody has the id `tid`. That of the main thread stays its own also when it has ended before others.
long nobody_is(i32 tid, i32 sig) { return u32(tid) != g_pid ? -ESRCH : sig < 0 || sig > kSignals ? -EINVAL : 0; }

// What the kernel or kill says, a thread may say to itself only (kernel/signal.c, do_rt_sigqueueinfo).
bool poses_as_another(const siginfo_t& info) { return info.si_code >= 0 || info.si_code == SI_TKILL; }

// tgkill and tkill at one of our own threads.
long send_to_thread(Coroutine* target, int sig, const siginfo_t& info) {
    if (sig < 0 || sig > kSignals) return -EINVAL;
    if (setxid_signal(sig)) this_coroutine()->setxid_round = true;
    if (sig == 0) return 0;
    if (kUnblockable & signal_bit(sig)) return sys(__NR_kill, g_pid, sig);
    // To the process: what one worker alone has pending, the target, which reads on another, would not see.
    if (kept_by_kernel(sig)) return signal_send_again(info);
    signal_post_thread(target, info);
    return 0;
}

}  // namespace

long h_rt_sigaction(Call& call) {
    if (call.a[3] != kSetBytes) return -EINVAL;
    SignalAction fresh, old;
    if (call.a[1] && get_guest(&fresh, (void*)call.a[1])) return -EFAULT;
    long r = signal_set_action(i32(call.a[0]), call.a[1] ? &fresh : nullptr, &old);
    if (!r && call.a[2] && put_guest((void*)call.a[2], old)) return -EFAULT;
    return r;
}

long h_rt_sigprocmask(Call& call) {
    if (call.a[3] != kSetBytes) return -EINVAL;
    Coroutine* c = call.c;
    u64 old = c->mask, set;
    if (call.a[1]) {
        if (get_guest(&set, (void*)call.a[1])) return -EFAULT;
        switch (i32(call.a[0])) {
            case SIG_BLOCK: set = old | set; break;
            case SIG_UNBLOCK: set = old & ~set; break;
            case SIG_SETMASK: break;
            default: return -EINVAL;
        }
        signal_set_mask(c, set);
    }
    if (call.a[2] && put_guest((void*)call.a[2], old)) return -EFAULT;
    return 0;
}

long h_rt_sigreturn(Call& call) { return i64(call.c->regs.rax); }  // dispatch handles it before it gets here

long h_rt_sigpending(Call& call) {
    if (call.a[1] > kSetBytes) return -EINVAL;
    u64 set = signal_pending_set(call.c) & call.c->mask;
    if (!g_multi) {
        u64 kernel = 0;
        sys(__NR_rt_sigpending, &kernel, 8);
        set |= kernel;
    }
    return copy_to_guest((void*)call.a[0], &set, call.a[1]);
}

long h_rt_sigtimedwait(Call& call) {
    if (call.a[3] != kSetBytes) return -EINVAL;
    Coroutine* c = call.c;
    u64 set;
    if (get_guest(&set, (void*)call.a[0])) return -EFAULT;
    set &= ~kUnblockable;
    u64 deadline = kNever;
    if (call.a[2]) {
        Timespec64 t;
        if (get_guest(&t, (void*)call.a[2])) return -EFAULT;
        long r = deadline_from(t, &deadline);
        if (r) return r;
    }
    siginfo_t info;
    if (g_multi) signal_want(set);
    for (;;) {
        c->sigwait_set = set;
        if (g_multi) signal_mirror(0);
        bool taken = signal_take(c, set, &info);
        if (!taken && !g_multi) {
            c->sigwait_set = 0;
            u64 host = set & ~kHostNeverBlocked;
            Timespec64 left = deadline == kNever ? Timespec64{} : remaining(deadline);
            long r = oc_syscall_intr(__NR_rt_sigtimedwait, (long)&host, (long)&info, deadline == kNever ? 0 : (long)&left, 8, 0, 0);
            if (r > 0) {
                taken = true;
            } else if (r == -EINTR) {
                attend();
                if (signal_take(c, set, &info))
                    taken = true;
                else if (signal_pending(c))
                    return -EINTR;
                else
                    continue;
            } else {
                return r;
            }
        }
        if (taken) {
            c->sigwait_set = 0;
            host_release_held(signal_bit(info.si_signo));
            // Others were left to this one while it waited.
            if (g_multi) signal_retarget(c, set & c->mask);
            if (call.a[1] && copy_to_guest((void*)call.a[1], &info, sizeof info)) return -EFAULT;
            return info.si_signo;
        }
        wait_begin(c, true);
        // A signal posted between the look above and wait_begin is seen by wait_park only if unblocked: look again.
        if (signal_pending_set(c) & set) wake(c, c->wait_sequence << 8, WakeReason::woken);
        WakeReason why = wait_park(c, deadline, kWaitsForSignals, set);
        c->sigwait_set = 0;
        if (signal_pending_set(c) & set) continue;
        if (why == WakeReason::timeout) return -EAGAIN;
        if (signal_pending(c)) return -EINTR;
    }
}

long h_rt_sigsuspend(Call& call) {
    if (call.a[1] != kSetBytes) return -EINVAL;
    u64 set;
    if (get_guest(&set, (void*)call.a[0])) return -EFAULT;
    Coroutine* c = call.c;
    signal_set_temporary_mask(c, set);
    for (;;) {
        attend();
        if (signal_pending(c)) return kRestartNoHand;
        if (g_multi) {
            wait_begin(c, true);
            wait_park(c, kNever, kWaitsInSuspend, set);
        } else {
            oc_syscall_intr(__NR_pause, 0, 0, 0, 0, 0, 0);
        }
    }
}

long h_pause(Call& call) {
    Coroutine* c = call.c;
    for (;;) {
        attend();
        if (signal_pending(c)) return kRestartNoHand;
        if (g_multi) {
            wait_begin(c, true);
            wait_park(c, kNever, kWaitsInPause, 0);
        } else {
            oc_syscall_intr(__NR_pause, 0, 0, 0, 0, 0, 0);
        }
    }
}

long h_sigaltstack(Call& call) {
    Coroutine* c = call.c;
    struct Stack {
        u64 sp;
        i32 flags, pad;
        u64 size;
    } fresh, old{};
    bool on = c->alt.size && !(c->alt.flags & 0x80000000u) && c->regs.rsp > c->alt.sp && c->regs.rsp - c->alt.sp <= c->alt.size;
    if (call.a[0] && get_guest(&fresh, (void*)call.a[0])) return -EFAULT;
    old = {c->alt.sp, c->alt.size ? i32((on ? SS_ONSTACK : 0) | (c->alt.flags & 0x80000000u)) : SS_DISABLE, 0, c->alt.size};
    if (call.a[0]) {
        if (on) return -EPERM;
        u32 mode = u32(fresh.flags) & ~0x80000000u;
        if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0) return -EINVAL;
        if (mode == SS_DISABLE) {
            c->alt = {0, 0, 0};
        } else {
            constexpr u64 kLeast = 2048;  // MINSIGSTKSZ
            if (fresh.size < kLeast) return -ENOMEM;
            c->alt = {fresh.sp, fresh.size, u32(fresh.flags) & 0x80000000u};
        }
    }
    if (call.a[1] && put_guest((void*)call.a[1], old)) return -EFAULT;
    return 0;
}

long h_kill(Call& call) {
    tracing_begins(call.c);
    i32 pid = i32(call.a[0]), sig = i32(call.a[1]);
    if (!g_multi || !is_self(pid)) return native(call);
    if (sig <= 0 || sig > kSignals || (kUnblockable & signal_bit(sig)) || kept_by_kernel(sig)) {
        call.a[0] = g_pid;
        return native(call);
    }
    signal_post_process(user_info(sig, SI_USER));
    return 0;
}

long h_tkill(Call& call) {
    tracing_begins(call.c);
    i32 tid = i32(call.a[0]), sig = i32(call.a[1]);
    if (tid <= 0) return -EINVAL;
    if (!g_multi) return native(call);
    Coroutine* target = find_thread(u32(tid));
    // Not one of ours: another process's thread. Our own kernel threads are nobody's business.
    if (!target) return u32(tid) == g_pid ? nobody_is(tid, sig) : native(call);
    return send_to_thread(target, sig, user_info(sig, SI_TKILL));
}

long h_tgkill(Call& call) {
    tracing_begins(call.c);
    i32 group = i32(call.a[0]), tid = i32(call.a[1]), sig = i32(call.a[2]);
    if (group <= 0 || tid <= 0) return -EINVAL;
    if (group != i32(g_pid) || !g_multi) return native(call);
    Coroutine* target = find_thread(u32(tid));
    if (!target) return nobody_is(tid, sig);
    return send_to_thread(target, sig, user_info(sig, SI_TKILL));
}

long h_rt_sigqueueinfo(Call& call) {
    tracing_begins(call.c);
    i32 pid = i32(call.a[0]), sig = i32(call.a[1]);
    if (!g_multi || !is_self(pid)) return native(call);
    if (sig <= 0 || sig > kSignals || (kUnblockable & signal_bit(sig)) || kept_by_kernel(sig)) {
        call.a[0] = g_pid;
        return native(call);
    }
    siginfo_t info;
    if (get_guest(&info, (void*)call.a[2])) return -EFAULT;
    if (poses_as_another(info) && u32(pid) != call.c->tid) return -EPERM;
    info.si_signo = sig;
    signal_post_process(info);
    return 0;
}

long h_rt_tgsigqueueinfo(Call& call) {
    tracing_begins(call.c);
    i32 group = i32(call.a[0]), tid = i32(call.a[1]), sig = i32(call.a[2]);
    if (!g_multi || group != i32(g_pid) || tid <= 0) return native(call);
    siginfo_t info;
    if (get_guest(&info, (void*)call.a[3])) return -EFAULT;
    if (poses_as_another(info) && u32(tid) != call.c->tid) return -EPERM;
    info.si_signo = sig;
    Coroutine* target = find_thread(u32(tid));
    if (!target) return nobody_is(tid, sig);
    return send_to_thread(target, sig, info);
}

namespace {

// include/uapi/linux/pidfd.h, newer than many a system's.
constexpr u64 kPidfdGetInfo = 0xc040ff0b;  // Linux 6.13
constexpr u32 kPidfdInfoPid = 1;
constexpr u32 kToThread = 1, kToGroup = 2;  // flags, Linux 6.9: 0 goes by the descriptor
constexpr i32 kSelfThread = -10000;         // Linux 6.14; other negative numbers that the kernel takes are the process

// The id of the process or thread that a descriptor stands for, as the kernel knows it; 0: not known.
u32 pidfd_names(i32 fd) {
    struct {
        u64 mask, cgroup;
        u32 pid, others[11];
    } info{kPidfdInfoPid, 0, 0, {}};
    if (!is_error(sys(__NR_ioctl, fd, kPidfdGetInfo, &info))) return info.pid;
    // A directory of /proc is taken too.
    struct stat its, ours;
    if (!is_error(sys(__NR_fstat, fd, &its)) && !is_error(sys(__NR_stat, "/proc/self", &ours)) && its.st_dev == ours.st_dev &&
        its.st_ino == ours.st_ino)
        return g_pid;
    TextBuffer<64> path;
    path.add("/proc/thread-self/fdinfo/").dec(fd);
    char text[512];
    long from = sys(__NR_open, path.c_str(), O_RDONLY | O_CLOEXEC);
    if (is_error(from)) return 0;
    long n = sys(__NR_read, from, text, sizeof text - 1);
    sys(__NR_close, from);
    text[n > 0 ? n : 0] = 0;
    for (const char* line = text; *line; line++) {
        if (!text_starts_with(line, "Pid:\t")) continue;
        const char* digits = line + 5;
        u64 pid;
        return text_parse_u64(&digits, &pid) ? u32(pid) : 0;
    }
    return 0;
}

}  // namespace

long h_pidfd_send_signal(Call& call) {
    tracing_begins(call.c);
    i32 fd = i32(call.a[0]), sig = i32(call.a[1]);
    u32 flags = u32(call.a[3]);
    if (!g_multi || sig <= 0 || sig > kSignals || (kUnblockable & signal_bit(sig))) return native(call);
    if (flags && flags != kToThread && flags != kToGroup) return native(call);
    if (is_error(sys(__NR_pidfd_send_signal, fd, 0, nullptr, flags))) return native(call);
    Coroutine* named = nullptr;
    if (fd == kSelfThread) {
        named = call.c;
    } else {
        const u32 pid = fd < 0 ? g_pid : pidfd_names(fd);
        Locked walk(g_registry_lock);
        for (Coroutine& c : registry())
            if (pid == g_pid ? c.is_main : c.pinned && c.home->tid == pid) named = &c;
        if (!named && pid != g_pid) return native(call);
    }
    const bool to_thread = flags ? flags == kToThread : fd < 0 ? fd == kSelfThread : (sys(__NR_fcntl, fd, F_GETFL) & O_EXCL) != 0;
    siginfo_t info;
    if (call.a[2]) {
        if (get_guest(&info, (void*)call.a[2])) return -EFAULT;
        if (info.si_signo != sig) return -EINVAL;
        if (poses_as_another(info) && named != call.c) return -EPERM;
    } else {
        info = user_info(sig, to_thread ? SI_TKILL : SI_USER);
    }
    if (to_thread) return named ? send_to_thread(named, sig, info) : 0;  // the main thread has ended: nobody takes it
    if (kept_by_kernel(sig)) return signal_send_again(info);
    signal_post_process(info);
    return 0;
}

long h_timer_create(Call& call) {
    // Without a second thread the kernel's own delivery is right: the one thread has the kernel's id.
    if (g_multi && call.a[1]) return posix_timer_create(call.c, i32(call.a[0]), call.a[1], call.a[2]);
    long r = native(call);
    return is_error(r) ? r : posix_timer_created_natively(call.c, call.a[1], call.a[2]);
}

long h_timer_settime(Call& call) { return posix_timer_set(i32(call.a[0]), call.a[1], call.a[2], call.a[3]); }

long h_timer_delete(Call& call) {
    posix_timer_forget(i32(call.a[0]));
    return native(call);
}

long h_timer_getoverrun(Call& call) {
    long r = native(call);
    return g_multi && !is_error(r) ? posix_timer_overrun(i32(call.a[0])) : r;
}

namespace {

// A signalfd reads what the kernel has pending, so its signals must wait there: while every thread blocks them they are
// blocked on the worker too (signal_mirror).
long with_mirror(Call& call) {
    long r = native(call);
    u64 set;
    if (!is_error(r) && get_guest(&set, (void*)call.a[1]) == 0) signal_mirror(set);
    return r;
}

}  // namespace

long h_signalfd(Call& call) { return with_mirror(call); }
long h_signalfd4(Call& call) { return with_mirror(call); }

}  // namespace ocrun
