// cancel.cc - see cancel.h
#include "runtime/api/cancel.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "runtime/api/carrier.h"
#include "runtime/api/pool.h"
#include "runtime/api/unwind.h"

namespace oc {

namespace {

int g_signal;
// So often a task found at an instruction from which its innermost frame has no way to destroy its objects is let go on: most come
// to a call soon. One that does not is in a loop of such instructions, and the objects of that frame are given up.
constexpr u32 kPatience = 32;

// In place of a frame that was dropped, called as if by that frame's caller.
void leave_task() { pthread_exit(PTHREAD_CANCELED); }

// Is the interrupted state that of a system call that waited and did nothing?
bool in_waiting_call(const ucontext_t* uc) {
    const greg_t* g = uc->uc_mcontext.gregs;
    const unsigned char* ip = (const unsigned char*)g[REG_RIP];
    constexpr unsigned char kSyscall[2] = {0x0f, 0x05};
    if (!memcmp(ip - 2, kSyscall, 2) && g[REG_RAX] == -EINTR) return true;
    // To be made again by the kernel's rules, whatever the handler says: of those calls only a futex is known to have done nothing.
    return !memcmp(ip, kSyscall, 2) && g[REG_RAX] == SYS_futex;
}

void on_cancel(int, siginfo_t*, void* context) {
    Thread& me = t_thread;
    if (!cancel_wanted(me) || me.inside) return;
    ucontext_t* uc = (ucontext_t*)context;
    int saved = errno;
    Verdict verdict = unwind_judge(uc, !in_waiting_call(uc), ++me.task->cancel_tries > kPatience, leave_task);
    if (verdict == Verdict::later) {
        errno = saved;
        return;
    }
    me.task->cancel.store(false, std::memory_order_relaxed);  // once
    me.task->unwinding = true;
    if (verdict == Verdict::here) leave_task();
    errno = saved;
}

}  // namespace

int cancel_signal() { return g_signal; }

int cancel_here(Thread& me) {
    if (unwind_judge_here() != Verdict::here) return -ECANCELED;
    me.task->cancel.store(false, std::memory_order_relaxed);
    me.task->unwinding = true;
    leave_task();
    return 0;
}

int cancel_install(int signal) {
    g_signal = signal;
    // libc loads the unwinder at the first pthread_exit: now, not in a handler.
    static bool loaded;
    if (!loaded) {
        pthread_t once;
        if (int r = pthread_create(&once, nullptr, [](void*) -> void* { pthread_exit(nullptr); }, nullptr)) return -r;
        pthread_join(once, nullptr);
        loaded = true;
    }
    struct sigaction action {};
    action.sa_sigaction = on_cancel;
    // No SA_RESTART: a call that waits must end.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, &action, nullptr)) return -errno;
    return fault_install();
}

void cancel_poke(Task* t) {
    Locked held(t->lock);
    if (t->carrier && !has_ended(t)) pthread_kill(t->carrier->id, g_signal);
}

}  // namespace oc

using namespace oc;

extern "C" {

int oc_task_cancel(oc_task* t) {
    Thread& me = self();
    Inside inside(me);
    if (t->state.load(std::memory_order_acquire) == OC_READY && pool_cancel_ready(me, t)) {
        task_ended(t);
        return 0;
    }
    {
        Locked held(t->lock);
        if (has_ended(t) || t->unwinding) return 0;
        t->cancel.store(true, std::memory_order_seq_cst);
    }
    if (me.task == t) return 0;  // its next point of cancellation
    cancel_poke(t);
    pool_cancel_pending(t);
    return 0;
}

int oc_cancel_requested(void) {
    Task* t = self().task;
    return t && (t->cancel.load(std::memory_order_relaxed) || t->unwinding);
}

int oc_cancel_point(void) {
    Thread& me = self();
    return cancel_wanted(me) ? cancel_here(me) : 0;
}

int oc_cancel_enable(int on) {
    Thread& me = self();
    int was = !me.cancel_off;
    me.cancel_off = !on;
    return was;
}

}  // extern "C"
