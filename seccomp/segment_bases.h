// segment_bases.h - FS and GS of a kernel thread: the guest's thread pointer and the runtime's block
//
// Both are set by wrfsbase and wrgsbase. A kernel that tells so (FSGSBASE in AT_HWCAP2) keeps them when it switches threads. Some do
// not though the instructions work: kernels under a hypervisor that hides FSGSBASE, kernels started with `nofsgsbase`. There
// g_bases_unkept is set, and
//   GS  is set by arch_prctl, which any kernel keeps: once a kernel thread, and at each exit to a guest with a GS of its own;
//   FS  is set by wrfsbase as ever, under a selector other than 0. When the kernel comes back to the thread it loads that
//       selector, whose base is 0. Nothing lies at and below 0, so the guest's next access through FS faults; the handler
//       finds FS lost and leaves by the way out to the guest, which sets it again (fs_is_lost).
#pragma once
#include "seccomp/trap.h"

namespace ocrun {

extern bool g_bases_unkept;

// hwcap2: AT_HWCAP2 of this process. 0, or -ENOSYS: the instructions are not allowed.
long segment_bases_init(u64 hwcap2);
// The calling thread, and those it starts, run guests from now on; no libc uses FS any more.
void segment_bases_begin();

inline u64 read_fs_base() { return __builtin_ia32_rdfsbase64(); }
inline u64 read_gs_base() { return __builtin_ia32_rdgsbase64(); }
void keep_gs_base(u64 base);
inline void write_gs_base(u64 base) {
    if (__builtin_expect(g_bases_unkept, 0)) return keep_gs_base(base);
    __builtin_ia32_wrgsbase64(base);
}

// For the context that the calling thread runs.
inline void load_fs_base(const GuestContext* c) { __builtin_ia32_wrfsbase64(c->fs_base); }
inline void set_fs_base(GuestContext* c, u64 base) {
    c->fs_base = base;
    load_fs_base(c);
}
inline u64 fs_base_of(const GuestContext* c) { return __builtin_expect(g_bases_unkept, 0) ? c->fs_base : read_fs_base(); }

// FS is not what c's guest had: it was lost in a switch of the kernel's.
inline bool fs_is_lost(const GuestContext* c) { return __builtin_expect(g_bases_unkept, 0) && read_fs_base() != c->fs_base; }
// The last thing on the way to c's guest that may meet such a switch is over.
inline void keep_fs_base(const GuestContext* c) {
    if (fs_is_lost(c)) load_fs_base(c);
}

}  // namespace ocrun
