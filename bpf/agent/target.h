// target.h - one process with BPF: its programs, maps, pins and what the runtime was told
#pragma once
#include <map>
#include <memory>
#include <string>

#include "bpf/agent/agent.h"
#include "bpf/view/process.h"

struct ocrun_bpf;
struct bpf_link;

namespace ocrun::view {

// Everything of ours: a directory of maps for each process.
inline constexpr const char* kPinRoot = "/sys/fs/bpf/ocrun";

class Target {
public:
    // Loads programs and maps; the process may not have started its program yet. Null with *why.
    static std::unique_ptr<Target> load(int pid, const AgentOptions& options, std::string* why);
    ~Target();

    // Hands the maps to the process unless it has them. False: not now (it has not started, or did not answer).
    bool hand_over();
    // Ticks of new workers, losses into their map.
    void look_after();
    bool alive() const;
    int pid() const { return pid_; }

private:
    Target() = default;
    bool pin(std::string* why);
    bool send_maps(int listener);
    void attach_ticks();
    void forget_image();

    int pid_ = 0;
    unsigned long long start_ = 0;
    AgentOptions options_;
    ocrun_bpf* skeleton_ = nullptr;
    bpf_link* top_ = nullptr;
    bool pinned_ = false;
    std::map<uint32_t, bpf_link*> ticks_;  // by kernel thread
    std::unique_ptr<Process> process_;
    uint32_t wanting_ = 0;
    bool handed_over_ = false;
};

// Directories whose agent is dead: the pins go, the process lets go of the maps.
void reap_stale();
// Tells a process to take the maps of `agent`, or (0) to let go of those it has.
bool tell_runtime(const Process& process, uint32_t agent);

}  // namespace ocrun::view
