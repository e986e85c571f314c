// direct.cc - the calls of a vfork or CLONE_VM child (see process.h)
//
// It shares the parent's memory, so it changes nothing of the runtime: masks are its own coroutine's, signal actions are a
// private copy, every other call is the kernel's. It blocks like any native thread.
#include <asm/errno.h>
#include <fcntl.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/process/process.h"

namespace ocrun {

namespace {

long set_action(const Call& call) {
    SignalAction* actions = (SignalAction*)this_thread()->direct_actions;
    i32 sig = i32(call.a[0]);
    if (call.a[3] != 8 || sig < 1 || sig > kSignals) return -EINVAL;
    SignalAction fresh, old = actions[sig];
    if (call.a[1]) {
        if (kUnblockable & signal_bit(sig)) return -EINVAL;
        if (get_guest(&fresh, (void*)call.a[1])) return -EFAULT;
        actions[sig] = fresh;
    }
    return call.a[2] ? put_guest((void*)call.a[2], old) : 0;
}

}  // namespace

long direct_call(Call& call) {
    Coroutine* c = call.c;
    switch (call.nr) {
        case __NR_rt_sigaction:
            return set_action(call);
        case __NR_rt_sigprocmask:
            return h_rt_sigprocmask(call);
        case __NR_sigaltstack:
            return h_sigaltstack(call);
        case __NR_clone:
            return h_clone(call);
        case __NR_clone3:
            return h_clone3(call);
        case __NR_fork:
        case __NR_vfork:  // memory of its own costs little and asks for no second level of sharing
            return h_fork(call);
        case __NR_execve:
            return h_execve(call);
        case __NR_execveat:
            return h_execveat(call);
        case __NR_arch_prctl:
            return h_arch_prctl(call);
        case __NR_rseq:
            return h_rseq(call);
        case __NR_gettid:
            return c->tid;
        case __NR_exit:
        case __NR_exit_group:
            for (;;) native(call);
        case __NR_close:
        case __NR_dup:
        case __NR_fcntl:
        case __NR_fstat:
            return is_hidden_fd(i32(call.a[0])) ? -EBADF : native(call);
        case __NR_dup2:
        case __NR_dup3:
            return is_hidden_fd(i32(call.a[0])) || is_hidden_fd(i32(call.a[1])) ? -EBADF : native(call);
        case __NR_close_range:
            return hidden_fds_close_range(u32(call.a[0]), u32(call.a[1]), call.a[2]);
        default:
            return native(call);
    }
}

}  // namespace ocrun
