// guest_filter.h - seccomp filters that the guest installs itself (man, apt, sshd, systemd do)
//
// In the kernel each one sits behind "instruction pointer in the runtime -> ALLOW", so the runtime's own calls survive it;
// calls that the runtime emulates for the guest are checked here first, with the guest's own instruction pointer. So a guest
// filter is weaker than natively by exactly the calls the runtime makes on its own account (README, limitations).
#pragma once
#include "runtime/syscalls/call.h"

namespace ocrun {

extern u32 g_guest_filter_count;
inline bool guest_filters_present() { return g_guest_filter_count != 0; }
// True when a filter answers the call: *result is what the guest gets (or a signal was forced on it).
bool guest_filters_decide(const Call& call, long* result);

// seccomp(SECCOMP_SET_MODE_FILTER) with a guest sock_fprog: 0 or -errno.
long guest_filter_install(u32 flags, u64 guest_program);

// For exec: the programs as bytes behind the handoff.
u32 guest_filters_bytes();
const void* guest_filters_data();
void guest_filters_restore(const void* data, u32 bytes);

}  // namespace ocrun
