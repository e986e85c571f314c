// launch.cc - see launch.h
#include "runtime/process/launch.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/mman.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/host/exec_target.h"
#include "runtime/host/handoff.h"
#include "runtime/process/guest_filter.h"
#include "runtime/process/process.h"
#include "runtime/signal/signals.h"
#include "seccomp/defaults.h"
#include "seccomp/install.h"

extern "C" char __executable_start, etext;

namespace ocrun {

namespace {

constexpr const char* kSelfPrefix = "/dev/fd/";  // what execveat of a descriptor makes of AT_EXECFN
constexpr u32 kTypeMask = 0170000, kTypeDirectory = 0040000;

const char* from_environment(char** envp, const char* name_and_equals) {
    for (; *envp; envp++)
        if (text_starts_with(*envp, name_and_equals)) return *envp + text_length(name_and_equals);
    return nullptr;
}

// execvp(3)'s search. 0 and the path, -ENOENT, or -EACCES and the last candidate.
long search_path(const ProcessStart& start, const char* name, Text* path) {
    for (const char* c = name; *c; c++)
        if (*c == '/') {
            path->add(name);
            return 0;
        }
    const char* list = start.secure ? nullptr : from_environment(start.envp, "PATH=");
    if (!list) list = "/bin:/usr/bin";
    char candidate_text[PATH_MAX];
    long error = -ENOENT;
    for (bool more = true; more;) {
        const char* end = list;
        while (*end && *end != ':') end++;
        Text candidate(candidate_text, sizeof candidate_text);
        if (end == list) candidate.add(".");
        candidate.add(list, size_t(end - list)).add("/").add(name);
        more = *end;
        list = end + 1;
        struct stat s;
        if (sys(__NR_stat, candidate.c_str(), &s) || (s.st_mode & kTypeMask) == kTypeDirectory) continue;
        error = sys(__NR_access, candidate.c_str(), 1 /* X_OK */) == 0 ? 0 : -EACCES;
        path->clear();
        path->add(candidate.c_str());
        if (!error) return 0;
    }
    return error;
}

bool is_own_file(const char* path) {
    struct stat a, b;
    return sys(__NR_stat, path, &a) == 0 && sys(__NR_stat, "/proc/self/exe", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Policy and shared counters into the tree's memfd. Sealed in size only: the counters are written by the whole tree. Every
// image maps the policy privately, but a guest that guesses the number may write to it: ocrun is not a sandbox.
long publish_policy(const Policy& policy, Text* why) {
    long fd = sys(__NR_memfd_create, "ocrun-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    long r = fd;
    if (!is_error(r)) r = sys(__NR_ftruncate, fd, kPolicyFdBytes);
    if (!is_error(r)) r = sys(__NR_pwrite64, fd, &policy, sizeof policy, 0);
    if (!is_error(r)) r = r == sizeof policy ? 0 : -EIO;
    if (!r) {
        sys(__NR_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
        r = hidden_fd_place(int(fd), kHiddenPolicy, false);
    }
    if (is_error(r)) why->add("no memory file for the policy: ").add(errno_text(r));
    return r;
}

int exit_status_of(long error) { return error == -ENOENT || error == -ENOTDIR ? kExitNotFound : kExitNotExecutable; }

int own_failure(const Text& why) {
    log_line(why);
    return kExitOwnFailure;
}

// The kernel gave two names for its own: what is not needed any more on the way back to libc.
int undo(ExecTarget* target) {
    hidden_fd_close(kHiddenExe);
    hidden_fd_close(kHiddenPolicy);
    exec_target_release(target);
    return -1;
}

}  // namespace

ProcessStart process_start(char** argv, int argc) {
    char** envp = argv + argc + 1;
    char** end = envp;
    while (*end) end++;
    ProcessStart start{argc, argv, envp, (const Elf64_auxv_t*)(end + 1), false};
    for (const Elf64_auxv_t* a = start.auxv; a->a_type != AT_NULL; a++)
        if (a->a_type == AT_SECURE) start.secure = a->a_un.a_val;
    return start;
}

bool is_view(const char* word) {
    for (const char* c : {"ps", "top", "stacks", "stat", "trace", "flame", "watch", "bpf"})
        if (text_equal(word, c)) return true;
    return false;
}

bool is_command(const char* word) {
    for (const char* c : {"check", "dump"})
        if (text_equal(word, c)) return true;
    return is_view(word);
}

const Policy* map_policy(int fd) {
    long r = sys(__NR_mmap, nullptr, sizeof(Policy), PROT_READ, MAP_PRIVATE, fd, 0);
    return is_error(r) || ((const Policy*)r)->magic != Policy::kMagic ? nullptr : (const Policy*)r;
}

int launch_program(const LaunchRequest& q) {
    const ProcessStart& start = q.start;
    TextBuffer<512> why;
    const char* name = start.argv[q.first_arg];
    TextBuffer<PATH_MAX> path;
    long r = search_path(start, name, &path);
    if (r) {
        why.add(name).add(r == -ENOENT ? ": not found in PATH" : ": found in PATH but not executable (");
        if (r != -ENOENT) why.add(path.c_str()).add(")");
        log_line(why);
        return r == -ENOENT ? kExitNotFound : kExitNotExecutable;
    }
    ExecTarget target;
    r = resolve_exec(AT_FDCWD, path.c_str(), 0, &target, &why);
    if (is_error(r)) {
        // `ocrun ocrun PROGRAM`: the inner one is the launcher; nothing of the outer one is in force yet.
        if (r == -ENOMEM && is_own_file(path.c_str())) sys(__NR_execve, path.c_str(), start.argv + q.first_arg, start.envp);
        log_line(why);
        return exit_status_of(r);
    }
    hidden_fd_set_base(hidden_fd_choose_base());
    long exe = sys(__NR_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC);
    r = is_error(exe) ? exe : hidden_fd_place(int(exe), kHiddenExe, false);
    if (is_error(r)) {
        why.add("no descriptor for ocrun's own file: ").add(errno_text(r));
        return own_failure(why);
    }
    if (is_error(publish_policy(*q.policy, &why))) return own_failure(why);
    // Without room above the limit the hidden numbers lie just below it (base/hidden_fds.h).
    constexpr int kBelowLimit = 16;
    int hidden = hidden_fd_base();
    if (hidden_fd(kHiddenExe) < hidden && hidden > kBelowLimit) hidden -= kBelowLimit;
    BootRequest boot_request{};
    r = q.filter(*q.policy, u32(hidden), &boot_request.filter, &boot_request.filter_length, &why);
    if (r == -EAGAIN) return undo(&target);
    if (is_error(r)) return own_failure(why);
    boot_request.host_no_new_privs = q.host_no_new_privs;
    if (boot_request.filter && sys(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
        r = prepare_install();
        if (is_error(r)) {
            why.add("cannot set NO_NEW_PRIVS, which an unprivileged seccomp filter needs: ").add(errno_text(r));
            return own_failure(why);
        }
        if (sys(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) boot_request.host_no_new_privs = true;
    }
    boot_request.target_fd = target.fd;
    boot_request.interp_fd = target.interp_fd;
    boot_request.shown_path = target.file_path;
    boot_request.comm = target.comm;
    boot_request.policy = map_policy(hidden_fd(kHiddenPolicy));
    // An agent may send the internal signal before there is a handler for it.
    u64 internal = signal_bit(kInternalSignal);
    sys(__NR_rt_sigprocmask, SIG_BLOCK, &internal, &boot_request.signal_mask, 8);
    boot_request.stack.argc = start.argc;
    boot_request.stack.argv = start.argv;
    boot_request.stack.envp = start.envp;
    boot_request.stack.auxv = start.auxv;
    boot_request.stack.first_arg = q.first_arg;
    boot_request.stack.prefix_count = target.prefix_count;
    boot_request.stack.prefix = target.prefix;
    boot_request.stack.exec_path = target.exec_path;
    r = boot(boot_request, q.libc, &why);
    log_line(why);
    return r == -ENOMEM || r == -EPERM || r == -EACCES || r == -EINVAL || r == -ENOSYS ? kExitOwnFailure : exit_status_of(r);
}

bool find_handoff(const ProcessStart& start, Handoff* out) {
    const char* self = nullptr;
    for (const Elf64_auxv_t* a = start.auxv; a->a_type != AT_NULL; a++)
        if (a->a_type == AT_EXECFN) self = (const char*)a->a_un.a_val;
    if (!self || !text_starts_with(self, kSelfPrefix)) return false;
    char** end = start.envp;
    while (*end) end++;
    return end > start.envp && handoff_read(end[-1], out);
}

void adopt_handoff(const ProcessStart& start, const Handoff& handoff) {
    char** end = start.envp;
    while (*end) end++;
    end[-1] = nullptr;
    hidden_fd_set_base(handoff.base);
    hidden_fd_adopt(kHiddenExe, handoff.base);
    hidden_fd_adopt(kHiddenPolicy, handoff.policy_fd);
    set_forked_by(handoff.forked_by);
}

void restore_guest_filters(int fd) {
    if (fd < 0) return;
    struct stat s;
    if (sys(__NR_fstat, fd, &s) == 0 && s.st_size > 0) {
        long p = sys(__NR_mmap, nullptr, s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (!is_error(p)) guest_filters_restore((void*)p, u32(s.st_size));
    }
    sys(__NR_close, fd);
}

namespace {

// The image after a guest's exec. Past the point of no return Linux kills a process that cannot go on; so does this.
[[noreturn]] void resume_exec(const ProcessStart& start, const Handoff& handoff) {
    TextBuffer<512> why;
    restore_guest_filters(handoff.filter_fd);
    const Policy* policy = map_policy(handoff.policy_fd);
    if (!policy) die(kExitOwnFailure, "the policy of the process tree is gone (its descriptor was closed by a program that ocrun does not run)");
    BootRequest q{};
    q.target_fd = handoff.target_fd;
    q.interp_fd = -1;
    q.shown_path = handoff.exec_path;
    q.comm = handoff.comm;
    q.policy = policy;
    q.signal_mask = handoff.signal_mask;
    q.ignored_signals = &handoff.ignored_signals;
    q.cpu = &handoff.cpu;
    q.stack.argc = start.argc;
    q.stack.argv = start.argv;
    q.stack.envp = start.envp;
    q.stack.auxv = start.auxv;
    q.stack.first_arg = 0;
    q.stack.exec_path = handoff.exec_path;
    q.host_no_new_privs = handoff.host_no_new_privs;
    boot(q, {nullptr, 0}, &why);
    log_line(why);
    sys(__NR_kill, sys(__NR_getpid), SIGKILL);
    die(kExitOwnFailure, "killed");
}

// The built-in policy's filter was made with ocrun; only where its own text ends was not known then.
OC_APART sock_filter g_program[BPF_MAXINSNS];

long default_filter(const Policy&, u32 hidden, const sock_filter** program, u32* length, Text*) {
    if (hidden != kUsualHiddenBase) return -EAGAIN;
    memcpy(g_program, kBuiltInFilter, kBuiltInFilterLength * sizeof(sock_filter));
    write_gate(g_program + kBuiltInFilterLength - kGateLength, (u64)&__executable_start, (u64)&etext);
    *program = g_program;
    *length = kBuiltInFilterLength;
    return 0;
}

// `ocrun [-w N] [--no-rewrite] [--] PROGRAM ARGS…` with the built-in policy. Returns when it is anything else.
void launch_plain(const ProcessStart& start) {
    const char* file = start.secure ? nullptr : from_environment(start.envp, "OCRUN_CONFIG=");
    if (file && *file) return;
    if (start.argc < 2 || is_command(start.argv[1])) return;
    Policy policy = built_in_policy();
    int i = 1;
    for (; i < start.argc && start.argv[i][0] == '-'; i++) {
        const char* word = start.argv[i];
        if (text_equal(word, "--")) {
            i++;
            break;
        }
        if (text_equal(word, "--no-rewrite")) {
            policy.rewrite = 0;
        } else if ((text_equal(word, "-w") || text_equal(word, "--workers")) && i + 1 < start.argc) {
            const char* number = start.argv[++i];
            u64 workers;
            if (!text_parse_u64(&number, &workers) || *number || workers > kMostWorkers) return;
            policy.scheduler.workers = u32(workers);
        } else {
            return;
        }
    }
    if (i >= start.argc) return;
    int status = launch_program({start, i, &policy, default_filter, {nullptr, 0}, false});
    if (status >= 0) sys(__NR_exit_group, status);
}

}  // namespace

// Returns when libc has to start: other command lines, and ocrun inside ocrun.
extern "C" void oc_image_starts(u64* stack) {
    ProcessStart start = process_start((char**)(stack + 1), int(*stack));
    Handoff handoff;
    if (find_handoff(start, &handoff)) {
        if (handoff.nested) return;
        adopt_handoff(start, handoff);
        resume_exec(start, handoff);
    }
    launch_plain(start);
}

}  // namespace ocrun
