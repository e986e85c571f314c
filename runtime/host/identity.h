// identity.h - makes /proc and brk(2) speak of the guest instead of ocrun
#pragma once
#include "runtime/base/syscall.h"
#include "runtime/host/elf_image.h"
#include "runtime/host/initial_stack.h"

namespace ocrun {

// Tells the kernel the guest's code, data, brk, argument, environment and auxv areas with PR_SET_MM_MAP (prctl(2);
// unprivileged) and the name of this kernel thread with PR_SET_NAME. From then on
// /proc/PID/{cmdline,environ,auxv,stat} are the guest's and the kernel serves brk(2) from image.brk_start; memory
// that ocrun's libc took by brk before stays mapped, and nothing of ocrun may call brk again. /proc/PID/exe stays
// ocrun (PR_SET_MM_EXE_FILE would need the old file unmapped). The block of `stack` need not be in place yet, its
// buffer must still be readable. 0 or -errno; -EINVAL when the kernel has no PR_SET_MM_MAP
// (CONFIG_CHECKPOINT_RESTORE): then the caller has to emulate brk, and /proc shows ocrun.
long set_process_identity(const LoadedImage& image, const InitialStack& stack, const char* comm);

// The path of an open file as /proc/self/fd/N tells it, NUL-terminated ("/memfd:x (deleted)", "pipe:[1]" too).
// Its length (at most size-1), -ENAMETOOLONG when it does not fit, or readlink's -errno.
long fd_path(int fd, char* buffer, size_t size);

}  // namespace ocrun
