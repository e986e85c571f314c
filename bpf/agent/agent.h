// agent.h - the privileged side: loads the BPF programs for a process, keeps their descriptors, takes everything away at the end
#pragma once
#include <string>

namespace ocrun::view {

struct AgentOptions {
    bool background = false;  // detached from the caller; `ready_fd` gets one line when it works or cannot
    bool tree = false;        // the process's children too
    bool print = false;       // each switch into the kernel's trace buffer (bpftool prog tracelog)
    bool no_assist = false;   // observe only
    int ready_fd = -1;
    double seconds = 0;       // 0: until the process ends or a signal comes
};

// Empty when BPF works here for this user, else the reason in one line.
std::string bpf_unusable();
// After it: can the table `top` not be had?
bool bpf_lacks_iterator();
int bpf(int pid, const AgentOptions& options);
int bpf_probe();

}  // namespace ocrun::view
