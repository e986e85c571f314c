// none.cc - stands for the agent where ocrun was built without BPF
#include <stdio.h>
#include <unistd.h>

#include "bpf/agent/agent.h"
#include "bpf/view/process.h"

namespace ocrun::view {

std::string bpf_unusable() { return "this ocrun was built without BPF (clang, llvm-strip, bpftool and libbpf are needed: scripts/setup)"; }

int bpf_probe() {
    printf("%s\n", bpf_unusable().c_str());
    return 1;
}

int bpf(int, const AgentOptions& options) {
    std::string line = bpf_unusable();
    if (options.ready_fd >= 0)
        dprintf(options.ready_fd, "%s\n", line.c_str());
    else
        complain(line);
    return 125;
}

}  // namespace ocrun::view
