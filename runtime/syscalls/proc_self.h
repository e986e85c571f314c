// proc_self.h - what /proc says about a guest whose threads are coroutines in ocrun's process
//
// The kernel knows ocrun's executable, the runtime's descriptors and kernel threads; the guest shall see its own: exe
// is the program, fd/ lists no hidden descriptor, task/ has one directory a coroutine, status has the guest's signals
// and thread count. Covered are absolute paths below /proc/self, /proc/thread-self, /proc/<own pid>, /proc/<own tid>,
// and listings by whatever way the directory was opened; and /proc/PID/exe of other processes under ocrun. Follows proc(5).
#pragma once
#include "runtime/syscalls/call.h"

namespace ocrun {

enum class ProcKind : u8 {
    none,         // nothing special: the guest's own path
    exe,          // the program's file
    absent,       // a hidden descriptor: no such file
    thread_self,  // the link /proc/thread-self itself
    thread,       // a thread's directory or something in it: `instead` is the same of the main thread
    thread_comm,  // as thread; opened, it is a text of ours
    thread_stat,
    status,
};

struct ProcPath {
    ProcKind kind = ProcKind::none;
    u32 tid = 0;                    // whose
    const char* instead = nullptr;  // what the kernel is asked in its place: kinds exe, thread, thread_*, status
    char path[160];
};

// Takes a number that is a whole component off the path, and the slashes behind it.
bool proc_take_number(const char** p, u64* value);

// Looks at a path of the guest; costs one short copy unless it begins with "/proc/".
void proc_path(Coroutine* c, u64 guest_path, ProcPath* out);

// A new descriptor with the text of kinds thread_comm, thread_stat, status: fd or -errno. flags: open(2).
long proc_open_text(Coroutine* c, const ProcPath& p, u64 flags);
// Writing into a comm names its thread: true when the call was that; *result is its result.
bool proc_write(Call& call, long* result);
// fd is about to be closed or replaced.
void proc_forget(int fd);

// getdents, getdents64: no hidden descriptors in fd/ and fdinfo/, coroutines in task/.
long proc_getdents(Call& call);

}  // namespace ocrun
