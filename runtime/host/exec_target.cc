// exec_target.cc - the checks of execve before its point of no return (see exec_target.h)
#include "runtime/host/exec_target.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/prctl.h>

#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/host/elf_plan.h"
#include "runtime/host/identity.h"
#include "runtime/host/owned.h"
#include "runtime/host/script_line.h"

namespace ocrun {
namespace {

// st_mode (inode(7)); <linux/stat.h> hides them from code that has seen a glibc header.
constexpr u32 kTypeMask = 0170000, kTypeRegular = 0100000, kTypeDirectory = 0040000, kTypeLink = 0120000;
constexpr u32 kSetUid = 04000, kSetGid = 02000, kGroupExecute = 0010;
constexpr unsigned long kMountNosuid = 2;  // statfs f_flags, ST_NOSUID (include/linux/statfs.h)

// ExecTarget::scratch: the strings of the result, and buffers while it is being found.
struct Scratch {
    char exec_path[PATH_MAX + 32];
    char script_lines[kMaxScriptDepth + 1][kScriptLineBytes];
    alignas(8) char table[kElfTableBytes];
    char interp_path[PATH_MAX];
};

long refuse(Text* why, long error, const char* reason) {
    why->add(reason);
    return error;
}

long refuse(Text* why, long error) {
    return refuse(why, error, errno_text(error));
}

void name_file(Text* why, const char* path) {
    why->clear();
    why->add(path).add(": ");
}

long check_type(const struct stat& status, Text* why) {
    if ((status.st_mode & kTypeMask) == kTypeRegular) return 0;
    return refuse(why, -EACCES,
                  (status.st_mode & kTypeMask) == kTypeDirectory ? "is a directory" : "not a regular file");
}

// May the caller execute this open file? Asks the kernel's own exec code where it can be asked.
long check_execute(int fd, bool may_be_busy, Text* why) {
    long r = -EINVAL;
    if (may_be_busy) {
        const char* argv[] = {"", nullptr};
        r = sys(__NR_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH | AT_EXECVE_CHECK);
    }
    if (r == -EINVAL || r == -ENOSYS) r = sys(__NR_faccessat2, fd, "", 1 /* X_OK */, AT_EMPTY_PATH | AT_EACCESS);
    if (r == -EINVAL || r == -ENOSYS) r = 0;  // before Linux 5.8: the loader will see
    if (!r) return 0;
    if (r == -EACCES) return refuse(why, r, "not executable (no execute permission, or a noexec mount)");
    if (r == -ETXTBSY) return refuse(why, r, "open for writing (text file busy)");
    return refuse(why, r);
}

// A descriptor of the file that `fd` itself is, as AT_EMPTY_PATH asks for.
long open_same_file(int fd) {
    long mode = sys(__NR_fcntl, fd, F_GETFL);
    if (is_error(mode)) return mode;
    if (!(mode & O_PATH) && (mode & O_ACCMODE) != O_WRONLY) return sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0);
    TextBuffer<40> path;
    path.add("/proc/self/fd/").dec(fd);
    return sys(__NR_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

// Opens what do_open_execat() would: a regular file that may be executed. The descriptor, or -errno. The type is
// looked at first, because opening a device or a FIFO is not without effects.
long open_executable(int dirfd, const char* path, int flags, bool may_be_busy, Text* why) {
    // An interpreter named "" means the working directory to the kernel (the path of the call itself was checked
    // before).
    if (!path[0] && !(flags & AT_EMPTY_PATH)) return refuse(why, -EACCES, "names no file");
    struct stat status;
    long r = sys(__NR_newfstatat, dirfd, path, &status, flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
    if (r) return refuse(why, r);
    if ((status.st_mode & kTypeMask) == kTypeLink) return refuse(why, -ELOOP, "is a symbolic link");
    if ((r = check_type(status, why))) return r;
    if (path[0])
        r = sys(__NR_openat, dirfd, path,
                O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0));
    else
        r = open_same_file(dirfd);
    if (r == -EACCES && sys(__NR_faccessat2, dirfd, path, 1 /* X_OK */, AT_EACCESS | (flags & AT_EMPTY_PATH)) == 0)
        return refuse(why, r, "executable but not readable; ocrun loads programs itself and has to read them");
    if (is_error(r)) return refuse(why, r);
    OwnedFd fd(r);
    if ((r = sys(__NR_fstat, fd.get(), &status))) return refuse(why, r);
    if ((r = check_type(status, why))) return r;
    if ((r = check_execute(fd.get(), may_be_busy, why))) return r;
    return fd.release();
}

// Would the kernel change the caller's credentials for this file (fs/exec.c: bprm_fill_uid; security/commoncap.c)?
bool changes_credentials(int fd, int flags) {
    struct stat status;
    if (sys(__NR_fstat, fd, &status)) return false;
    long euid = sys(__NR_geteuid), egid = sys(__NR_getegid);
    bool set_uid = (status.st_mode & kSetUid) && status.st_uid != (u32)euid;
    // Without the group's x bit the mode asks for mandatory locking, not for a set-gid program.
    bool set_gid = (status.st_mode & kSetGid) && (status.st_mode & kGroupExecute) && status.st_gid != (u32)egid;
    bool capabilities = euid != 0 && sys(__NR_fgetxattr, fd, "security.capability", nullptr, 0) > 0;
    if (!set_uid && !set_gid && !capabilities) return false;
    if (!(flags & kExecHostNoNewPrivs) && sys(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) return false;
    struct statfs mount;
    return sys(__NR_fstatfs, fd, &mount) != 0 || !(u64(mount.f_flags) & kMountNosuid);
}

// The ELF file itself: format, addresses, credentials, interpreter.
long check_program(int flags, Scratch* scratch, ExecTarget* out, Text* why) {
    ElfPlan plan{};
    long r = read_elf_plan(out->fd, scratch->table, &plan, why);
    if (r) {
        // The kernel opens the interpreter before it looks at the segments, so its absence is told first.
        TextBuffer<16> unused;
        if (plan.interp_bytes && read_interpreter_path(out->fd, plan, scratch->interp_path, &unused) == 0) {
            long fd = open_executable(AT_FDCWD, scratch->interp_path, 0, false, &unused);
            if (is_error(fd)) return fd;
            sys(__NR_close, fd);
        }
        return r == -EIO ? -ENOEXEC : r;
    }
    if ((r = check_host_window(plan, why))) return r;
    if (changes_credentials(out->fd, flags)) {
        out->set_id_refused = true;
        return refuse(
            why, -EPERM,
            "set-uid, set-gid or with file capabilities; ocrun cannot raise privileges, run it without ocrun");
    }
    if (!plan.interp_bytes) return 0;
    if ((r = read_interpreter_path(out->fd, plan, scratch->interp_path, why))) return r;
    why->add("its interpreter ").add(scratch->interp_path).add(": ");
    r = open_executable(AT_FDCWD, scratch->interp_path, 0, false, why);
    if (is_error(r)) return r;
    out->interp_fd = int(r);
    r = read_elf_plan(out->interp_fd, scratch->table, &plan, why);
    if (r) return r == -ENOEXEC ? -ELIBBAD : r;
    return check_host_window(plan, why);
}

struct Script {
    ScriptLine lines[kMaxScriptDepth + 1];
    unsigned depth = 0;
};

// Follows `#!` lines from out->fd on, until out->fd is no script.
long follow_scripts(bool path_inaccessible, Scratch* scratch, Script* script, ExecTarget* out, Text* why) {
    for (;;) {
        // Too deep is found out after the next interpreter has been opened, as the kernel does.
        if (script->depth > kMaxScriptDepth) {
            name_file(why, out->exec_path);
            return refuse(why, -ELOOP, "a script run by a script run by a script: more than five levels");
        }
        char* buffer = scratch->script_lines[script->depth];
        long got = sys(__NR_pread64, out->fd, buffer, kScriptLineBytes, 0);
        if (got < 0) return refuse(why, got);
        if (buffer[0] != '#' || buffer[1] != '!') return 0;
        ScriptLine* line = &script->lines[script->depth];
        long r = parse_script_line(buffer, line);
        if (r) return refuse(why, r, "a script whose #! line names no interpreter or is too long");
        if (path_inaccessible)
            return refuse(why, -ENOENT,
                          "a script on a close-on-exec descriptor, which its interpreter could not open");
        why->add("its interpreter ").add(line->interpreter).add(": ");
        r = open_executable(AT_FDCWD, line->interpreter, 0, true, why);
        if (is_error(r)) return r;
        sys(__NR_close, out->fd);
        out->fd = int(r);
        out->file_path = line->interpreter;
        script->depth++;
        name_file(why, line->interpreter);
    }
}

// The kernel puts each level in front of the one before: interpreter, its argument, then the script it was named by.
void collect_prefix(const Script& script, ExecTarget* out) {
    if (!script.depth) return;
    for (unsigned level = script.depth; level-- > 0;) {
        out->prefix[out->prefix_count++] = script.lines[level].interpreter;
        if (script.lines[level].argument) out->prefix[out->prefix_count++] = script.lines[level].argument;
    }
    out->prefix[out->prefix_count++] = out->exec_path;
}

// comm: the last part of the path given, or, for a bare descriptor, of the file's own name (Linux 6.14).
void choose_comm(bool bare_fd, Scratch* scratch, ExecTarget* out) {
    const char* path = out->exec_path;
    if (bare_fd && fd_path(out->fd, scratch->interp_path, sizeof scratch->interp_path) > 0) {
        path = scratch->interp_path;
        const char* deleted = " (deleted)";
        if (text_ends_with(path, deleted)) scratch->interp_path[text_length(path) - text_length(deleted)] = 0;
    }
    const char* name = path;
    for (; *path; path++)
        if (*path == '/') name = path + 1;
    text_copy(out->comm, sizeof out->comm, name);
}

long resolve(int dirfd, const char* path, int flags, Scratch* scratch, ExecTarget* out, Text* why) {
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | kExecHostNoNewPrivs)) return refuse(why, -EINVAL);
    bool bare_fd = !path[0] && (flags & AT_EMPTY_PATH);
    if (!path[0] && !bare_fd) return refuse(why, -ENOENT);
    if (bare_fd && dirfd == AT_FDCWD) return refuse(why, -EACCES, "is a directory");
    bool path_inaccessible = false;
    Text exec_path(scratch->exec_path, sizeof scratch->exec_path);
    if (dirfd != AT_FDCWD && path[0] != '/') {
        exec_path.add("/dev/fd/").dec(dirfd);
        if (path[0]) exec_path.add("/");
        path_inaccessible = sys(__NR_fcntl, dirfd, F_GETFD) & FD_CLOEXEC;
    }
    exec_path.add(path);
    out->exec_path = out->file_path = scratch->exec_path;
    long r = open_executable(dirfd, path, flags, true, why);
    if (is_error(r)) return r;
    out->fd = int(r);
    Script script;
    if ((r = follow_scripts(path_inaccessible, scratch, &script, out, why))) return r;
    if ((r = check_program(flags, scratch, out, why))) return r;
    collect_prefix(script, out);
    choose_comm(bare_fd, scratch, out);
    return 0;
}

}  // namespace

long resolve_exec(int dirfd, const char* path, int flags, ExecTarget* out, Text* why) {
    *out = ExecTarget{};
    name_file(why, path[0] ? path : "(descriptor)");
    out->scratch = (char*)pages_alloc(sizeof(Scratch));
    out->scratch_bytes = sizeof(Scratch);
    long r = out->scratch ? resolve(dirfd, path, flags, (Scratch*)out->scratch, out, why) : refuse(why, -ENOMEM);
    if (r)
        exec_target_release(out);
    else
        why->clear();
    return r;
}

void exec_target_release(ExecTarget* target) {
    OwnedFd fd(target->fd), interp_fd(target->interp_fd);
    bool set_id_refused = target->set_id_refused;
    if (target->scratch) pages_free(target->scratch, sizeof(Scratch));
    *target = ExecTarget{};
    target->set_id_refused = set_id_refused;
}

}  // namespace ocrun
