// launch.h - from the first instruction of ocrun's image to boot
//
// The image starts in oc_start (launch_x86_64.S), before libc: after a guest's exec, and when the command line is plain and
// the policy is the built-in one, everything is done here without it. A static libc costs a third of a millisecond to start
// (CPU discovery by cpuid, which a virtual machine's monitor answers; relocations of IFUNCs; constructors), as much as
// executing a program natively. Whatever needs more (options, a policy file, commands, ocrun inside ocrun) goes on to
// libc's _start and main (runtime/cli), which comes back to launch_program with what it found.
#pragma once
#include <elf.h>

#include "config/policy.h"
#include "runtime/base/text.h"
#include "runtime/process/boot.h"

namespace ocrun {

// Exit codes for ocrun's own failures, as env(1), nice(1) and their like use them.
inline constexpr int kExitOwnFailure = 125, kExitNotExecutable = 126, kExitNotFound = 127;

// What the kernel gave to this process.
struct ProcessStart {
    int argc;
    char** argv;
    char** envp;
    const Elf64_auxv_t* auxv;
    bool secure;  // AT_SECURE: OCRUN* and PATH of the environment are not trusted
};

ProcessStart process_start(char** argv, int argc);

inline constexpr u32 kMostWorkers = 1024;  // -w

// Is this first word of the command line a command of ocrun?
bool is_command(const char* word);
// Those of ocrun-view.
bool is_view(const char* word);

// The filter for a policy whose hidden descriptors begin at `hidden`. 0, *program staying valid until boot, or nullptr: the
// one in force already will do. -EAGAIN: not known here. Other errors: `why` says it.
using FilterSource = long (*)(const Policy& policy, u32 hidden, const sock_filter** program, u32* length, Text* why);

struct LaunchRequest {
    ProcessStart start;
    int first_arg;          // index of the program in argv
    Policy* policy;
    FilterSource filter;
    LibcLeftovers libc;
    bool host_no_new_privs; // an outer ocrun has set it, not the user
};

// Runs the program; returns only when it cannot be started: the exit status, after saying why in one line; or -1 when
// `filter` said -EAGAIN: nothing has changed then.
int launch_program(const LaunchRequest& request);

// What a guest's exec left for this image in its last environment string (host/handoff.h); false: a fresh launch.
struct Handoff;
bool find_handoff(const ProcessStart& start, Handoff* out);
// Takes the string out of envp and the descriptors over.
void adopt_handoff(const ProcessStart& start, const Handoff& handoff);

// The guest's own seccomp programs from before the exec; closes the descriptor (-1: there are none).
void restore_guest_filters(int fd);

// The tree's policy from its descriptor, or nullptr.
const Policy* map_policy(int fd);

}  // namespace ocrun
