// launch.cc - starting a program: by the user (launch) or after a guest's execve (resume_exec)
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "config/parse.h"
#include "runtime/base/hidden_fds.h"
#include "runtime/base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/host/exec_target.h"
#include "runtime/host/handoff.h"
#include "runtime/process/boot.h"
#include "runtime/process/guest_filter.h"
#include "seccomp/filter.h"
#include "seccomp/hooks.h"
#include "seccomp/syscall_table.h"

extern "C" char __executable_start, etext;

namespace ocrun {

namespace {

LibcLeftovers libc_leftovers() {
    if (!__rseq_size) return {nullptr, 0};
    return {(char*)__builtin_thread_pointer() + __rseq_offset, 32};  // the kernel insists on the registered length, 32
}

const Policy* map_policy(int fd) {
    void* p = mmap(nullptr, sizeof(Policy), PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED || ((const Policy*)p)->magic != Policy::kMagic) return nullptr;
    return (const Policy*)p;
}

// What a nested ocrun finds: the policy whose filter is in force already, the hidden numbers that this filter guards, and
// whether NO_NEW_PRIVS came from ocrun.
const Policy* g_outer;
int g_outer_hidden;
bool g_outer_no_new_privs;

bool traps_more(const Policy& inner, const Policy& outer) {
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row) continue;
        Trap wanted = trap_of(inner, *row), there = trap_of(outer, *row);
        if (wanted != there && wanted != Trap::never && there != Trap::always) return true;
    }
    return false;
}

// Policy and shared counters into the tree's memfd. Sealed in size only: the counters are written by the whole tree. Every
// image maps the policy privately, but a guest that guesses the number may write to it: ocrun is not a sandbox.
std::string publish_policy(const Policy& policy) {
    int fd = memfd_create("ocrun-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return std::string("memfd_create: ") + strerror(errno);
    if (ftruncate(fd, kPolicyFdBytes) || pwrite(fd, &policy, sizeof policy, 0) != ssize_t(sizeof policy))
        return std::string("writing the policy: ") + strerror(errno);
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    long r = hidden_fd_place(fd, kHiddenPolicy, false);
    if (is_error(r)) return std::string("no descriptor number for the policy: ") + strerror(int(-r));
    return "";
}

std::string load_policy(const ProcessStart& start, const LaunchOptions& options, Policy* out) {
    std::string file = options.policy_file;
    const char* from_environment = start.secure ? nullptr : getenv("OCRUN_CONFIG");
    if (file.empty() && from_environment && *from_environment) file = from_environment;
    *out = default_policy();
    if (!file.empty()) {
        ParsedPolicy parsed = parse_policy_file(file.c_str());
        if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed)) {
            std::string text = format_mistakes(file, *mistakes);
            // One clear line here; `ocrun check` lists them all.
            std::string first = text.substr(0, text.find('\n'));
            if (mistakes->size() > 1) first += " (and " + std::to_string(mistakes->size() - 1) + " more: ocrun check " + file + ")";
            return first;
        }
        *out = std::get<Policy>(parsed);
    }
    if (options.workers >= 0) out->scheduler.workers = uint32_t(options.workers);
    if (options.no_rewrite) out->rewrite = 0;
    if (options.io_backend == "io_uring") out->io.backend = IoBackend::io_uring;
    if (options.io_backend == "epoll") out->io.backend = IoBackend::epoll;
    return "";
}

struct Found {
    std::string path;
    int error = ENOENT;
};

// execvp(3)'s search.
Found search_path(const char* name, bool secure) {
    Found found;
    if (strchr(name, '/')) {
        found.path = name;
        found.error = 0;
        return found;
    }
    const char* path = secure ? nullptr : getenv("PATH");
    std::string list = path ? path : "/bin:/usr/bin";
    for (size_t at = 0; at <= list.size();) {
        size_t end = std::min(list.find(':', at), list.size());
        std::string directory = list.substr(at, end - at);
        at = end + 1;
        std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
        struct stat s;
        if (stat(candidate.c_str(), &s) || S_ISDIR(s.st_mode)) continue;
        if (access(candidate.c_str(), X_OK) == 0) return {candidate, 0};
        found.error = EACCES;
        found.path = candidate;
    }
    return found;
}

bool is_own_file(const std::string& path) {
    struct stat a, b;
    return stat(path.c_str(), &a) == 0 && stat("/proc/self/exe", &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int exit_status_of(long error) { return error == -ENOENT || error == -ENOTDIR ? kExitNotFound : kExitNotExecutable; }

}  // namespace

void complain(const std::string& text) { log_line(text.c_str()); }

int launch(const ProcessStart& start, const LaunchOptions& options) {
    Policy policy;
    if (std::string wrong = load_policy(start, options, &policy); !wrong.empty()) {
        complain(wrong);
        return kExitOwnFailure;
    }
    const char* name = start.argv[options.first_arg];
    Found found = search_path(name, start.secure);
    if (found.error) {
        complain(std::string(name) + (found.error == ENOENT ? ": not found in PATH" : ": found in PATH but not executable (" + found.path + ")"));
        return found.error == ENOENT ? kExitNotFound : kExitNotExecutable;
    }
    ExecTarget target;
    TextBuffer<512> why;
    long r = resolve_exec(AT_FDCWD, found.path.c_str(), 0, &target, &why);
    if (is_error(r)) {
        // `ocrun ocrun PROGRAM`: the inner one is the launcher; nothing of the outer one is in force yet.
        if (r == -ENOMEM && is_own_file(found.path)) execv(found.path.c_str(), start.argv + options.first_arg);
        log_line(why);
        return exit_status_of(r);
    }
    if (policy.io.backend == IoBackend::io_uring)
        complain("io_uring is not there yet: calls complete by epoll and helper threads");
    hidden_fd_set_base(hidden_fd_choose_base());
    int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (exe < 0 || is_error(hidden_fd_place(exe, kHiddenExe, false))) {
        complain(std::string("no descriptor for ocrun's own file: ") + strerror(errno));
        return kExitOwnFailure;
    }
    if (std::string wrong = publish_policy(policy); !wrong.empty()) {
        complain(wrong);
        return kExitOwnFailure;
    }
    // Without room above the limit the hidden numbers lie just below it (base/hidden_fds.h).
    constexpr int kBelowLimit = 16;
    int hidden = hidden_fd_base();
    if (hidden_fd(kHiddenExe) < hidden && hidden > kBelowLimit) hidden -= kBelowLimit;
    bool inherited = g_outer && !traps_more(policy, *g_outer) && hidden == g_outer_hidden;
    if (g_outer && !inherited)
        complain("inside another ocrun with other hooks: a second filter stacks behind its filter, every call pays for both");
    std::vector<sock_filter> program;
    bool had_nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    if (!inherited) {
        auto built = build_filter(policy, (u64)&__executable_start, (u64)&etext, u32(hidden));
        if (auto* error = std::get_if<FilterError>(&built)) {
            complain(error->message);
            return kExitOwnFailure;
        }
        program = std::move(std::get<std::vector<sock_filter>>(built));
        std::string message;
        r = prepare_install(message);
        if (is_error(r)) {
            complain(message);
            return kExitOwnFailure;
        }
    }
    BootRequest boot_request{};
    boot_request.host_no_new_privs = g_outer_no_new_privs || (!had_nnp && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    boot_request.target_fd = target.fd;
    boot_request.interp_fd = target.interp_fd;
    boot_request.shown_path = target.file_path;
    boot_request.comm = target.comm;
    boot_request.policy = map_policy(hidden_fd(kHiddenPolicy));
    boot_request.filter = inherited ? nullptr : program.data();
    boot_request.filter_length = u32(program.size());
    u64 mask = 0;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, nullptr, &mask, 8);
    boot_request.signal_mask = mask;
    boot_request.stack.argc = start.argc;
    boot_request.stack.argv = start.argv;
    boot_request.stack.envp = start.envp;
    boot_request.stack.auxv = start.auxv;
    boot_request.stack.first_arg = options.first_arg;
    boot_request.stack.prefix_count = target.prefix_count;
    boot_request.stack.prefix = target.prefix;
    boot_request.stack.exec_path = target.exec_path;
    fflush(nullptr);
    r = boot(boot_request, libc_leftovers(), &why);
    log_line(why);
    return r == -ENOMEM || r == -EPERM || r == -EACCES || r == -EINVAL || r == -ENOSYS ? kExitOwnFailure : exit_status_of(r);
}

namespace {

// The guest's own seccomp programs from before the exec.
void restore_filters(int fd) {
    if (fd < 0) return;
    struct stat s;
    if (fstat(fd, &s) == 0 && s.st_size > 0) {
        void* p = mmap(nullptr, size_t(s.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED) guest_filters_restore(p, u32(s.st_size));
    }
    close(fd);
}

}  // namespace

int resume_exec(ProcessStart& start) {
    const char* self = nullptr;
    for (const Elf64_auxv_t* a = start.auxv; a->a_type != AT_NULL; a++)
        if (a->a_type == AT_EXECFN) self = (const char*)a->a_un.a_val;
    constexpr const char* kPrefix = "/dev/fd/";
    if (!self || strncmp(self, kPrefix, strlen(kPrefix)) != 0) return -1;
    char** last = start.envp;
    while (*last) last++;
    Handoff handoff;
    if (last == start.envp || !handoff_read(last[-1], &handoff)) return -1;
    last[-1] = nullptr;
    hidden_fd_set_base(handoff.base);
    hidden_fd_adopt(kHiddenExe, atoi(self + strlen(kPrefix)));
    hidden_fd_adopt(kHiddenPolicy, handoff.policy_fd);
    restore_filters(handoff.filter_fd);
    if (handoff.nested) {
        close(handoff.target_fd);
        // The mapping stays; the descriptors are the outer tree's, this one gets its own.
        g_outer = map_policy(handoff.policy_fd);
        g_outer_hidden = handoff.base;
        g_outer_no_new_privs = handoff.host_no_new_privs;
        hidden_fd_close(kHiddenExe);
        hidden_fd_close(kHiddenPolicy);
        u64 mask = handoff.signal_mask;
        sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, 8);
        return -1;
    }
    const Policy* policy = map_policy(handoff.policy_fd);
    if (!policy) {
        complain("the policy of the process tree is gone (its descriptor was closed by a program that ocrun does not run)");
        return kExitOwnFailure;
    }
    BootRequest q{};
    q.target_fd = handoff.target_fd;
    q.interp_fd = -1;
    q.shown_path = handoff.exec_path;
    q.comm = handoff.comm;
    q.policy = policy;
    q.signal_mask = handoff.signal_mask;
    q.stack.argc = start.argc;
    q.stack.argv = start.argv;
    q.stack.envp = start.envp;
    q.stack.auxv = start.auxv;
    q.stack.first_arg = 0;
    q.stack.exec_path = handoff.exec_path;
    q.host_no_new_privs = handoff.host_no_new_privs;
    TextBuffer<512> why;
    boot(q, libc_leftovers(), &why);
    // Past the point of no return Linux kills the process too.
    log_line(why);
    kill(getpid(), SIGKILL);
    return kExitOwnFailure;
}

}  // namespace ocrun
