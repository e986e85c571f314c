// stat.cc - `ocrun stat PID|-- CMD`: calls, errors and time of each system call, as strace -c shows them; where time went
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "bpf/view/commands.h"
#include "bpf/view/record.h"

namespace ocrun::view {

namespace {

constexpr double kLookMs = 200;

void print_times(FILE* out, const char* what, const uint64_t buckets[OC_BUCKETS], TscClock& clock) {
    uint64_t n = 0;
    for (int i = 0; i < OC_BUCKETS; i++) n += buckets[i];
    fprintf(out, "%-10s %10llu times   half below %9s   99 of 100 below %9s   all below %9s\n", what, (unsigned long long)n,
            duration_text(clock.ns(percentile(buckets, 0.5))).c_str(), duration_text(clock.ns(percentile(buckets, 0.99))).c_str(),
            duration_text(clock.ns(percentile(buckets, 1))).c_str());
}

void print(FILE* out, const Session& session, TscClock& clock) {
    std::vector<oc_call_count> sum(OC_CALLS);
    uint64_t switches = 0;
    oc_call_count total{};
    for (const Record& r : session.records()) {
        switches += r.shared->switches;
        for (int nr = 0; nr < OC_CALLS; nr++) {
            const oc_call_count& n = r.shared->calls[nr];
            sum[nr].calls += n.calls;
            sum[nr].errors += n.errors;
            sum[nr].tsc += n.tsc;
            sum[nr].longest_tsc = std::max(sum[nr].longest_tsc, n.longest_tsc);
        }
    }
    std::vector<int> order;
    for (int nr = 0; nr < OC_CALLS; nr++) {
        if (!sum[nr].calls) continue;
        order.push_back(nr);
        total.calls += sum[nr].calls;
        total.errors += sum[nr].errors;
        total.tsc += sum[nr].tsc;
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return sum[a].tsc > sum[b].tsc; });
    fprintf(out, "%% time     seconds  usecs/call     calls    errors syscall\n");
    fprintf(out, "------ ----------- ----------- --------- --------- ----------------\n");
    auto line = [&](const oc_call_count& n, const char* name) {
        char errors[24] = "";
        if (n.errors) snprintf(errors, sizeof errors, "%llu", (unsigned long long)n.errors);
        fprintf(out, "%6.2f %11.6f %11.0f %9llu %9s %s\n", total.tsc ? 100.0 * double(n.tsc) / double(total.tsc) : 0, clock.ns(n.tsc) / 1e9,
                n.calls ? clock.ns(n.tsc) / 1e3 / double(n.calls) : 0, (unsigned long long)n.calls, errors, name);
    };
    for (int nr : order) line(sum[nr], call_name(uint32_t(nr)).c_str());
    fprintf(out, "------ ----------- ----------- --------- --------- ----------------\n");
    line(total, "total");
    uint64_t on_cpu[OC_BUCKETS] = {}, queued[OC_BUCKETS] = {}, parked[OC_BUCKETS] = {};
    add_buckets(session, on_cpu, queued, parked);
    fprintf(out, "\nTime is elapsed time, waiting included; only calls that ocrun hooks are seen.\n");
    fprintf(out, "%llu switches by %zu kernel threads; %s\n", (unsigned long long)switches, session.records().size(), session.losses().c_str());
    print_times(out, "on CPU", on_cpu, clock);
    print_times(out, "in queue", queued, clock);
    print_times(out, "parked", parked, clock);
}

}  // namespace

int stat(int pid, const std::vector<std::string>& options, const std::vector<std::string>& command, double seconds) {
    TscClock clock;
    std::unique_ptr<Process> p;
    if (pid && !(p = open_process(pid))) return kExitFailure;
    auto session = Session::make(OC_LEVEL_TIMES | OC_LEVEL_CALLS, 0, p ? p->uid() : geteuid());
    if (!session || (p && !session->attach(*p))) return kExitFailure;
    catch_stop();
    int child = 0, status = 0;
    if (!p && (child = session->launch(options, command)) < 0) return kExitFailure;
    EndOf process_end(p ? p->pid() : child);
    double end = clock.moment_ns(tsc_now()) + seconds * 1e9;
    bool ended = false;
    for (;;) {
        session->renew();
        session->follow_exec();
        session->collect();
        clock.anchor();
        if (child && waitpid(child, &status, WNOHANG) == child) break;
        double left_ms = p && seconds > 0 ? (end - clock.moment_ns(tsc_now())) / 1e6 : kLookMs;
        if (p && (g_stop || ended || left_ms <= 0)) break;
        ended = process_end.within_ms(std::clamp(left_ms, 0.0, kLookMs));
    }
    session->collect();
    // A command that could not be started has said why, and nothing is there to be counted.
    if (p || !session->records().empty()) print(child ? stderr : stdout, *session, clock);
    if (!child) return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ocrun::view
