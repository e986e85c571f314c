// launch.cc - starting a program with what only libc, JSON and libseccomp can do; the rest is process/launch.cc
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/rseq.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "config/parse.h"
#include "runtime/base/hidden_fds.h"
#include "runtime/base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/host/handoff.h"
#include "runtime/io/ring.h"
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

std::string load_policy(const ProcessStart& start, const LaunchOptions& options, Policy* out) {
    std::string file = options.policy_file;
    const char* from_environment = start.secure ? nullptr : getenv("OCRUN_CONFIG");
    const bool named = !file.empty();
    if (!named && from_environment && *from_environment) file = from_environment;
    *out = default_policy();
    if (!file.empty()) {
        ParsedPolicy parsed = parse_policy_file(file.c_str());
        if (auto* mistakes = std::get_if<std::vector<PolicyMistake>>(&parsed)) {
            std::string text = format_mistakes(file, *mistakes);
            // One clear line here; `ocrun check` lists them all.
            std::string first = text.substr(0, text.find('\n'));
            if (mistakes->size() > 1) first += " (and " + std::to_string(mistakes->size() - 1) + " more: ocrun check " + file + ")";
            return named ? first : "$OCRUN_CONFIG: " + first;
        }
        *out = std::get<Policy>(parsed);
    }
    if (options.workers >= 0) out->scheduler.workers = uint32_t(options.workers);
    if (options.no_rewrite) out->rewrite = 0;
    if (size_t colon = options.record.find(':'); colon != std::string::npos && options.record.size() - colon <= sizeof out->observe.directory) {
        out->observe.level = uint32_t(atoi(options.record.c_str()));
        strcpy(out->observe.directory, options.record.c_str() + colon + 1);
    }
    if (options.io_backend == "io_uring") out->io.backend = IoBackend::io_uring;
    if (options.io_backend == "epoll") out->io.backend = IoBackend::epoll;
    return "";
}

// FilterSource: built for this policy, unless an outer ocrun's does the same.
long filter_for(const Policy& policy, u32 hidden, const sock_filter** program, u32* length, Text* why) {
    static std::vector<sock_filter> built;
    bool inherited = g_outer && !traps_more(policy, *g_outer) && int(hidden) == g_outer_hidden;
    if (g_outer && !inherited)
        complain("inside another ocrun with other hooks: a second filter stacks behind its filter, every call pays for both");
    if (inherited) return 0;
    auto outcome = build_filter(policy, (u64)&__executable_start, (u64)&etext, hidden);
    if (auto* error = std::get_if<FilterError>(&outcome)) {
        why->add(error->message.c_str());
        return -EINVAL;
    }
    built = std::move(std::get<std::vector<sock_filter>>(outcome));
    *program = built.data();
    *length = u32(built.size());
    return 0;
}

// The agent of BPF, from the program beside this one. It leaves our process tree at once; the line it sends says that the
// programs are loaded, or why not: then the program runs without them.
void start_agent(bool assist) {
    char path[4096], ready[16], pid[16];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    int ends[2];
    if (n <= 0 || pipe2(ends, O_CLOEXEC)) return;
    path[n] = 0;
    strcpy(strrchr(path, '/') + 1, "ocrun-view");
    snprintf(pid, sizeof pid, "%d", getpid());
    int child = fork();
    if (child == 0) {
        int fd = dup(ends[1]);  // survives the exec
        snprintf(ready, sizeof ready, "%d", fd);
        char* const no_environment[] = {nullptr};  // the program's is none of its business
        execle(path, path, "bpf", "--background", "--tree", "--ready-fd", ready, pid, assist ? nullptr : "--no-assist", nullptr, no_environment);
        dprintf(fd, "cannot execute %s: %s\n", path, strerror(errno));
        _exit(kExitOwnFailure);
    }
    close(ends[1]);
    std::string line;
    char ch;
    while (child > 0 && read(ends[0], &ch, 1) == 1 && ch != '\n') line += ch;
    close(ends[0]);
    if (child > 0) waitpid(child, nullptr, 0);
    if (!line.empty()) complain("BPF is off: " + line);
}

}  // namespace

void complain(const std::string& text) { log_line(text.c_str()); }

int launch(const ProcessStart& start, const LaunchOptions& options) {
    Policy policy;
    if (std::string wrong = load_policy(start, options, &policy); !wrong.empty()) {
        complain(wrong);
        return kExitOwnFailure;
    }
    for (const RuleTurns& turns : policy.turns)
        if (turns.chance != 0 && policy.seed == 0) sys(__NR_getrandom, &policy.seed, sizeof policy.seed, 0);
    if (policy.io.backend == IoBackend::io_uring)
        if (long wrong = ring_probe(); wrong) {
            complain(std::string("io_uring was asked for, but the kernel gives no ring (") + strerror(int(-wrong)) +
                     "): Linux 6.6 or newer is needed, and permission");
            return kExitOwnFailure;
        }
    if (options.bpf || policy.tracing_bpf) start_agent(policy.tracing_assist);
    fflush(nullptr);
    return launch_program({start, options.first_arg, &policy, filter_for, libc_leftovers(), g_outer_no_new_privs});
}

void adopt_outer(const ProcessStart& start) {
    Handoff handoff;
    if (!find_handoff(start, &handoff)) return;
    adopt_handoff(start, handoff);
    // oc_image_starts left it to us because the target is ocrun itself. The mapping stays; the descriptors are the outer
    // tree's, this one gets its own.
    restore_guest_filters(handoff.filter_fd);
    close(handoff.target_fd);
    g_outer = map_policy(handoff.policy_fd);
    g_outer_hidden = handoff.base;
    g_outer_no_new_privs = handoff.host_no_new_privs;
    hidden_fd_close(kHiddenExe);
    hidden_fd_close(kHiddenPolicy);
    u64 mask = handoff.signal_mask;
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &mask, nullptr, 8);
}

}  // namespace ocrun
