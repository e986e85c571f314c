// commands.h - what `ocrun` can be asked to do; each returns the process's exit status
#pragma once
#include <string>

#include "runtime/process/launch.h"

namespace ocrun {

struct LaunchOptions {
    std::string policy_file;  // empty: OCRUN_CONFIG, else the built-in default
    int workers = -1;         // -1: as the policy says
    bool no_rewrite = false;
    std::string io_backend;
    bool bpf = false;         // with an agent
    std::string record;       // LEVEL:DIRECTORY, from a view
    int first_arg = 0;        // index of the program in argv
};

// Runs the program; returns only when it cannot be started.
int launch(const ProcessStart& start, const LaunchOptions& options);
// When a guest executed ocrun: what the outer one left, so that launch() need not install what is in force.
void adopt_outer(const ProcessStart& start);

int check_policy(const std::string& file, bool explain_calls);
int dump_process(int pid);

// One line on standard error: "ocrun: " + text.
void complain(const std::string& text);

}  // namespace ocrun
