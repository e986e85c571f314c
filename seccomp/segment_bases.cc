// segment_bases.cc - see segment_bases.h
#include "seccomp/segment_bases.h"

#include <asm/errno.h>
#include <asm/prctl.h>
#include <signal.h>
#include <ucontext.h>

namespace ocrun {

bool g_bases_unkept;

// Whether to call arch_prctl at the exit to a guest with a GS of its own (trap_x86_64.S).
extern "C" {
u32 oc_gs_by_call;
bool oc_bases_allowed();
extern char oc_bases_refused[];
void oc_sigreturn();
}

// rdfsbase raises SIGILL where it is not allowed.
asm(R"(
.pushsection .text
.globl oc_bases_allowed, oc_bases_refused
oc_bases_allowed:
    rdfsbase %rcx
    mov $1, %eax
    ret
oc_bases_refused:
    xor %eax, %eax
    ret
.popsection
)");

namespace {

void refused(int, siginfo_t*, ucontext_t* uc) { uc->uc_mcontext.gregs[REG_RIP] = (greg_t)oc_bases_refused; }

bool allowed() {
    constexpr u64 kSaRestorer = 0x04000000;
    struct {
        void (*handler)(int, siginfo_t*, ucontext_t*);
        u64 flags;
        void (*restorer)();
        u64 mask;
    } act{refused, SA_SIGINFO | kSaRestorer, oc_sigreturn, 0}, before{};
    if (is_error(sys(__NR_rt_sigaction, SIGILL, &act, &before, 8))) return false;
    bool yes = oc_bases_allowed();
    sys(__NR_rt_sigaction, SIGILL, &before, nullptr, 8);
    return yes;
}

}  // namespace

long segment_bases_init(u64 hwcap2) {
    constexpr u64 kHwcap2Fsgsbase = 2;
    if (hwcap2 & kHwcap2Fsgsbase) return 0;
    if (!allowed()) return -ENOSYS;
    g_bases_unkept = true;
    oc_gs_by_call = 1;
    return 0;
}

void segment_bases_begin() {
    constexpr u32 kUserData = 0x2b;  // a flat segment that every process has (__USER_DS)
    if (g_bases_unkept) asm volatile("mov %0, %%fs" ::"r"(kUserData));
}

void keep_gs_base(u64 base) { sys(__NR_arch_prctl, ARCH_SET_GS, base); }

}  // namespace ocrun
