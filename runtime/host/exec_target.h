// exec_target.h - what execve(2) would run, found out while it can still fail
//
// A user-space exec has no kernel to refuse it half-way, so every refusal of execve(2)/execveat(2) is made here,
// before the point of no return: permissions, `#!` chains, format, architecture, the interpreter. The result keeps
// the files open, so that what was checked is what runs.
#pragma once
#include "runtime/base/text.h"

namespace ocrun {

// Scripts whose interpreter is a script; one more is ELOOP (fs/exec.c: exec_binprm).
inline constexpr unsigned kMaxScriptDepth = 5;
inline constexpr unsigned kMaxPrefix = 2 * kMaxScriptDepth + 1;
// Includes the NUL (include/linux/sched.h: TASK_COMM_LEN).
inline constexpr size_t kCommBytes = 16;

// Of `flags`, besides AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW: this process's no_new_privs was set by ocrun, not by the
// user, so it does not excuse a set-uid target.
inline constexpr int kExecHostNoNewPrivs = 1 << 30;

struct ExecTarget {
    int fd = -1;                // the ELF file to load, O_CLOEXEC; read it with pread only, it may share its offset
    int interp_fd = -1;         // its PT_INTERP, O_CLOEXEC, or -1
    unsigned prefix_count = 0;  // 0: an ELF file was named; argv stays as it is
    const char* prefix[kMaxPrefix] = {};  // for scripts: these replace argv[0]
    const char* exec_path = nullptr;      // AT_EXECFN: the path given, or /dev/fd/N[/path]
    const char* file_path =
        nullptr;                  // path by which the ELF file was opened (last script's interpreter), for messages
    char comm[kCommBytes] = {};   // PR_SET_NAME
    bool set_id_refused = false;  // the error was -EPERM because the file would change credentials
    char* scratch = nullptr;      // pages that hold the strings
    size_t scratch_bytes = 0;
};

// Follows what execveat(dirfd, path, …, flags) would do. Returns 0, and the caller owns *out until
// exec_target_release; or Linux's errno and a released *out: ENOENT (also: a missing interpreter, a script by a
// close-on-exec descriptor), EACCES (no x bit, noexec mount, not a regular file, and, other than Linux, not
// readable), ENOEXEC (no known format, 32-bit, other machine, truncated), EINVAL (impossible ELF file, bad flags),
// ELIBBAD or EIO (interpreter), ETXTBSY (Linux >= 6.14; older kernels cannot be asked), ENOMEM (fixed addresses that
// ocrun needs), EPERM (see below), ENOTDIR, ELOOP, ENAMETOOLONG, EBADF, EMFILE…  `why` is overwritten: "PATH: reason"
// on failure, else empty. EPERM: the file is set-uid, set-gid or has capabilities, and running it would really change
// this caller's credentials, which a user-space exec cannot do. binfmt_misc formats are not known here (ENOEXEC).
// Needs two free descriptors, one while running more; about 1 KiB of stack. Blocks as opening files does.
long resolve_exec(int dirfd, const char* path, int flags, ExecTarget* out, Text* why);

// Closes the files and frees the strings; harmless on a released or empty target.
void exec_target_release(ExecTarget* target);

}  // namespace ocrun
