// frames.cc - the frames of signal handlers on the guest's stacks, and sigreturn (see signals.h)
//
// Built and read as the kernel does it: arch/x86/kernel/signal_64.c, fpu/signal.c; sigaltstack(2).
#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/signal/signals.h"

namespace ocrun {

namespace {

constexpr u32 kMagic1 = 0x46505853, kMagic2 = 0x46505845;  // FP_XSTATE_MAGIC1/2
constexpr size_t kSwReserved = 464;
constexpr size_t kLegacyBytes = 512;
constexpr u64 kUserCs = 0x33, kUserSs = 0x2b;
// uc_flags: UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS (arch/x86/include/uapi/asm/ucontext.h).
constexpr u64 kUcFlags = 7;
constexpr u64 kEflagsDf = 0x400, kEflagsRf = 0x10000, kEflagsTf = 0x100;
// What a sigreturn may set: OF DF TF SF ZF AF PF CF RF AC (arch/x86/kernel/signal.c, FIX_EFLAGS).
constexpr u64 kFixEflags = 0x40000 | 0x800 | 0x400 | 0x100 | 0x80 | 0x40 | 0x10 | 0x4 | 0x1 | 0x10000;

// What the kernel puts on the stack (struct rt_sigframe).
struct Frame {
    u64 return_address;
    u64 uc_flags, uc_link;
    u64 ss_sp;
    u32 ss_flags, ss_pad;
    u64 ss_size;
    GuestRegs regs;
    u64 fpstate;
    u64 reserved[8];
    u64 sigmask;
    u8 info[128];
};
static_assert(sizeof(Frame) == 440 && offsetof(Frame, regs) == 48 && offsetof(Frame, sigmask) == 304 &&
              offsetof(Frame, info) == 312);

bool within_alt_stack(const Coroutine* c, u64 sp) { return c->alt.size && sp > c->alt.sp && sp - c->alt.sp <= c->alt.size; }

// Nobody is on a stack that is disarmed while a handler runs on it (on_sig_stack in the kernel).
bool on_alt_stack(const Coroutine* c, u64 sp) { return !(c->alt.flags & 0x80000000u) && within_alt_stack(c, sp); }

u32 alt_flags(const Coroutine* c, u64 sp) {
    if (!c->alt.size) return SS_DISABLE;
    return (on_alt_stack(c, sp) ? SS_ONSTACK : 0) | (c->alt.flags & 0x80000000u);
}

// The frame shows x87 and SSE state as present always, so that what a handler writes there counts, whether or not it knows of the
// header (arch/x86/kernel/fpu/signal.c, save_xstate_epilog). x87 state that was not in use is not in the area: its initial one.
void show_legacy_state(u8* area) {
    constexpr size_t kMxcsr = 24, kX87Registers = 32, kX87RegisterBytes = 128;
    u64* features = (u64*)(area + kLegacyBytes);
    if (!(*features & 1)) {
        memset(area, 0, kMxcsr);
        *(u16*)area = 0x37f;
        memset(area + kX87Registers, 0, kX87RegisterBytes);
    }
    *features |= 3;
}

bool push_xstate(Coroutine* c, u64 at) {
    size_t n = xsave_exact_bytes();
    complete_xstate(c);
    show_legacy_state(c->xsave);
    struct {
        u32 magic1, extended_size;
        u64 xfeatures;
        u32 xstate_size, padding[7];
    } sw{kMagic1, u32(n + 4), xsave_features(), u32(n), {}};
    static_assert(sizeof sw == 48);
    memcpy(c->xsave + kSwReserved, &sw, sizeof sw);
    if (copy_to_guest((void*)at, c->xsave, n)) return false;
    return put_guest((void*)(at + n), kMagic2) == 0;
}

bool restore_xstate(Coroutine* c, u64 fp) {
    if (!fp) {
        reset_xstate(c);
        return true;
    }
    c->xstate_live = false;
    if (copy_from_guest(c->xsave, (void*)fp, kLegacyBytes)) return false;
    struct {
        u32 magic1, extended_size;
        u64 xfeatures;
        u32 xstate_size;
    } sw;
    memcpy(&sw, c->xsave + kSwReserved, sizeof sw);
    u32 magic2 = 0;
    bool extended = sw.magic1 == kMagic1 && sw.xstate_size >= kLegacyBytes + 64 && sw.xstate_size <= xsave_bytes() &&
                    sw.xstate_size <= sw.extended_size && get_guest(&magic2, (void*)(fp + sw.xstate_size)) == 0 &&
                    magic2 == kMagic2;
    u64* header = (u64*)(c->xsave + kLegacyBytes);
    if (extended) {
        if (copy_from_guest(header, (void*)(fp + kLegacyBytes), sw.xstate_size - kLegacyBytes)) return false;
        header[0] &= sw.xfeatures & xsave_features();
    } else {
        header[0] = 3;
    }
    for (int i = 1; i < 8; i++) header[i] = 0;
    // Bits the CPU does not have would make XRSTOR fault.
    u32* mxcsr = (u32*)(c->xsave + 24);
    static u32 mxcsr_mask;
    if (!mxcsr_mask) {
        alignas(16) u8 area[512];
        memset(area, 0, sizeof area);
        __builtin_ia32_fxsave64(area);
        mxcsr_mask = *(u32*)(area + 28) ? *(u32*)(area + 28) : 0xffbf;
    }
    *mxcsr &= mxcsr_mask;
    xstate_written(c);
    return true;
}

}  // namespace

bool signal_push_frame(Coroutine* c, const siginfo_t& info, const SignalAction& action) {
    bool use_alt = (action.flags & SA_ONSTACK) && c->alt.size;
    bool nested = on_alt_stack(c, c->regs.rsp);
    u64 sp = c->regs.rsp - 128;
    if (use_alt && !nested) sp = c->alt.sp + c->alt.size;
    u64 fp = (sp - (xsave_exact_bytes() + 4)) & ~63ul;
    u64 at = ((fp - sizeof(Frame)) & ~15ul) - 8;
    // Overflowing the alternate stack is a fault, not a scribble below it.
    if ((use_alt || nested) && !within_alt_stack(c, at)) return false;
    if (c->xstate_live) save_live_xstate(c);
    if (!push_xstate(c, fp)) return false;

    Frame f;
    memset(&f, 0, sizeof f);
    f.return_address = action.restorer;
    f.uc_flags = kUcFlags;
    f.ss_sp = c->alt.sp;
    f.ss_flags = alt_flags(c, c->regs.rsp);
    f.ss_size = c->alt.size;
    u64 old_mask = c->restore_mask ? c->saved_mask : c->mask;
    f.regs = c->regs;
    f.regs.cs_gs_fs_ss = kUserCs | kUserSs << 48;
    f.regs.oldmask = old_mask;
    f.fpstate = fp;
    f.sigmask = old_mask;
    memcpy(f.info, &info, sizeof f.info);
    if (copy_to_guest((void*)at, &f, sizeof f)) return false;

    if (setxid_signal(info.si_signo) && info.si_code == SI_TKILL) c->in_setxid = true;
    reset_xstate(c);  // a handler starts with initial extended state (arch/x86/kernel/signal.c, fpu__clear_user_states)
    c->restore_mask = false;
    if (c->alt.flags & 0x80000000u) c->alt = {0, 0, 0};  // SS_AUTODISARM
    c->regs.rsp = at;
    c->regs.rip = action.handler;
    c->regs.rdi = (u64)info.si_signo;
    c->regs.rsi = at + offsetof(Frame, info);
    c->regs.rdx = at + offsetof(Frame, uc_flags);
    c->regs.rax = 0;
    c->regs.eflags &= ~(kEflagsDf | kEflagsRf | kEflagsTf);
    u64 mask = c->mask | action.mask;
    if (!(action.flags & SA_NODEFER)) mask |= signal_bit(info.si_signo);
    signal_set_mask(c, mask);
    return true;
}

void signal_return(Coroutine* c) {
    Frame f;
    u64 at = c->regs.rsp - 8;
    bool ok = copy_from_guest(&f, (void*)at, offsetof(Frame, info)) == 0;
    if (ok) {
        u64 eflags = (c->regs.eflags & ~kFixEflags) | (f.regs.eflags & kFixEflags);
        u64 selectors = c->regs.cs_gs_fs_ss;
        c->regs = f.regs;
        c->regs.eflags = eflags;
        c->regs.cs_gs_fs_ss = selectors;
        ok = restore_xstate(c, f.fpstate);
    }
    if (!ok) {
        siginfo_t fault;
        memset(&fault, 0, sizeof fault);
        fault.si_signo = SIGSEGV;
        fault.si_code = SI_KERNEL;
        signal_force(c, fault);
        return;
    }
    if (!on_alt_stack(c, c->regs.rsp)) {
        if (f.ss_flags & SS_DISABLE)
            c->alt = {0, 0, 0};
        else
            c->alt = {f.ss_sp, f.ss_size, f.ss_flags & 0x80000000u};
    }
    c->restore_mask = false;
    c->in_setxid = false;
    signal_set_mask(c, f.sigmask);
}

}  // namespace ocrun
