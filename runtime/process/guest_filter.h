// guest_filter.h - seccomp filters that the guest installs itself (man, apt, sshd, systemd do)
//
// In the kernel each one sits behind "instruction pointer in the runtime -> ALLOW", so the runtime's own calls survive it;
// calls that the runtime emulates for the guest are checked here first, with the guest's own instruction pointer. So a guest
// filter is weaker than natively by exactly the calls the runtime makes on its own account (README, limitations).
//
// Each coroutine has its own list (Coroutine::filters), the same as its kernel thread: one that installs a filter for itself
// beside others is pinned, so all that are not pinned have what every worker has.
#pragma once
#include "runtime/syscalls/call.h"

namespace ocrun {

inline bool guest_filters_present(const Coroutine* c) { return c->filters != nullptr; }
// True when a filter of the caller's answers the call: *result is what the guest gets (or a signal was forced on it). Does not return
// when a filter kills the thread or the process.
bool guest_filters_decide(const Call& call, long* result);

// seccomp(SECCOMP_SET_MODE_FILTER) of c, which calls, with a guest sock_fprog: what seccomp(2) returns.
long guest_filter_install(Coroutine* c, u32 flags, u64 guest_program);

// A new thread or child starts with those of its creator. For a new thread from here to registry_add nothing may attend.
void guest_filters_inherit(Coroutine* c, const Coroutine* from);
// c ends.
void guest_filters_release(Coroutine* c);

// For exec: c's as a memfd that survives it, or -errno; and in the new image, before and for its first coroutine.
long guest_filters_save(const Coroutine* c);
void guest_filters_restore(const void* data, u32 bytes);
void guest_filters_begin(Coroutine* first);

}  // namespace ocrun
