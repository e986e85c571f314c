// commands.h - what `ocrun` can be asked to do; each returns the process's exit status
#pragma once
#include <elf.h>

#include <string>
#include <vector>

#include "config/policy.h"

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

struct LaunchOptions {
    std::string policy_file;  // empty: OCRUN_CONFIG, else the built-in default
    int workers = -1;         // -1: as the policy says
    bool no_rewrite = false;
    std::string io_backend;
    int first_arg = 0;        // index of the program in argv
};

// Runs the program; returns only when it cannot be started.
int launch(const ProcessStart& start, const LaunchOptions& options);
// The image after a guest's execve; -1 when this process is a fresh launch.
int resume_exec(ProcessStart& start);

int check_policy(const std::string& file, bool explain_calls);
int dump_process(int pid);

// One line on standard error: "ocrun: " + text.
void complain(const std::string& text);

}  // namespace ocrun
