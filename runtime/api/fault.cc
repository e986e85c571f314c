// fault.cc - a fault inside a task ends the task; elsewhere it does what it would have done without the library
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <new>

#include "runtime/api/carrier.h"
#include "runtime/api/unwind.h"

namespace oc {

namespace {

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction g_before[4];

struct sigaction* before(int sig) {
    for (int i = 0; i < 4; i++)
        if (kFaults[i] == sig) return &g_before[i];
    return nullptr;
}

// Of the program's own handler, or the default action with the registers of the fault: the instruction faults again.
void not_ours(int sig, siginfo_t* info, void* context) {
    struct sigaction* old = before(sig);
    if (old->sa_flags & SA_SIGINFO && old->sa_sigaction) {
        old->sa_sigaction(sig, info, context);
        return;
    }
    if (old->sa_handler == SIG_IGN && info->si_code <= 0) return;
    if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(sig);
        return;
    }
    signal(sig, SIG_DFL);
    if (info->si_code <= 0) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);  // it was sent: it does not happen again
}

void on_fault(int sig, siginfo_t* info, void* context) {
    Thread& me = t_thread;
    if (!me.carrier || !me.task || me.inside || info->si_code <= 0) {
        not_ours(sig, info, context);
        return;
    }
    if (Failure* f = new (std::nothrow) Failure{}) {
        auto address = (std::uintptr_t)info->si_addr;
        bool overflow = sig == SIGSEGV && address < me.stack_low && me.stack_low - address <= 64 * 1024;
        const char* name = sigabbrev_np(sig);
        snprintf(f->text, sizeof f->text, "SIG%s at address %#lx%s", name ? name : "?", (unsigned long)address, overflow ? ": stack overflow" : "");
        me.task->failure = f;
    }
    _longjmp(me.carrier->base, 1);
}

}  // namespace

int fault_install() {
    static bool installed;
    if (installed) return 0;
    for (int i = 0; i < 4; i++) {
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&action.sa_mask);
        if (sigaction(kFaults[i], &action, &g_before[i])) return -errno;
    }
    installed = true;
    return 0;
}

}  // namespace oc
