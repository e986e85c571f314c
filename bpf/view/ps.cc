// ps.cc - `ocrun ps [PID]`: the processes under ocrun, or the coroutines of one
#include <stdio.h>

#include <algorithm>

#include "bpf/view/commands.h"
#include "bpf/view/process.h"

namespace ocrun::view {

namespace {

// The widest a line gets; a longer command is cut.
constexpr int kColumns = 80;

int processes() {
    unsigned unreadable = 0;
    auto found = Process::all(&unreadable);
    printf("%8s %7s %7s %7s %7s %7s %12s  COMMAND\n", "PID", "THREADS", "PARKED", "READY", "ON CPU", "WORKERS", "CALLS");
    for (auto& p : found) {
        std::vector<Coroutine> coroutines;
        std::vector<Worker> workers;
        if (!p->snapshot(&coroutines, &workers)) continue;
        size_t parked = 0, ready = 0, on = 0;
        for (const Coroutine& c : coroutines) (c.state == State::parked ? parked : c.state == State::ready ? ready : on)++;
        printf("%8d %7zu %7zu %7zu %7zu %7zu %12llu  %s\n", p->pid(), coroutines.size(), parked, ready, on, workers.size(),
               (unsigned long long)p->system_calls(), safe_text(p->command(), kColumns - 64).c_str());
    }
    if (unreadable) complain(std::to_string(unreadable) + " more process(es) under ocrun are not yours to read");
    return 0;
}

}  // namespace

int ps(int pid) {
    if (!pid) return processes();
    auto p = open_process(pid);
    if (!p) return kExitFailure;
    TscClock clock;
    std::vector<Coroutine> coroutines;
    std::vector<Worker> workers;
    if (!p->snapshot(&coroutines, &workers)) {
        complain("process " + std::to_string(pid) + " cannot be read: " + errno_words());
        return kExitFailure;
    }
    uint64_t now = tsc_now();
    printf("process %d, %zu threads as coroutines on %zu worker(s), %llu system calls\n", pid, coroutines.size(), workers.size(),
           (unsigned long long)p->system_calls());
    printf("%10s %-15s %-7s %-14s %-18s %11s\n", "TID", "NAME", "STATE", "CALL", "WAITS FOR", "SINCE");
    for (const Coroutine& c : coroutines) {
        char waits[40] = "", since[32] = "";
        if (c.state == State::parked) {
            bool address = c.waits_detail > 0xffffffff;
            if (c.timed && c.waits_for == "sleep")
                snprintf(waits, sizeof waits, "sleep, %.1f s more", std::max(0.0, (double(c.deadline_ns) - clock.moment_ns(now)) / 1e9));
            else
                snprintf(waits, sizeof waits, address ? "%.8s %llx" : "%.10s %lld", c.waits_for.c_str(), (long long)c.waits_detail);
            snprintf(since, sizeof since, "%.3f s", clock.ns(now > c.parked_since_tsc ? now - c.parked_since_tsc : 0) / 1e9);
        } else if (c.worker_tid) {
            snprintf(waits, sizeof waits, "on worker %u", c.worker_tid);
        }
        printf("%10u %-15s %-7s %-14.14s %-18.18s %11s\n", c.tid, c.name.c_str(), state_name(c.state),
               c.call == OC_NO_CALL ? "" : call_name(c.call).c_str(), waits, since);
    }
    return 0;
}

}  // namespace ocrun::view
