// watch.cc - `ocrun watch PID`: tells of coroutines that hold a worker while others wait, and of deadlocks, with their stacks
//
// A stall: the same coroutine has been on its worker for longer than the limit while somebody is ready and not running. A
// deadlock: every coroutine is parked on a futex without a time limit, none has a signal to take, and nobody ran for a second:
// nothing inside the process can wake anybody.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "bpf/view/commands.h"
#include "bpf/view/record.h"
#include "bpf/view/unwind.h"

namespace ocrun::view {

namespace {

constexpr double kReportEverySeconds = 1, kDeadlockSeconds = 1;

void print_stack(const std::vector<Frame>& frames) {
    for (size_t i = 0; i < frames.size(); i++) printf("    #%-2zu %s\n", i, frames[i].text().c_str());
    if (frames.empty()) printf("    (its stack could not be read)\n");
}

bool stuck(const Coroutine& c) { return c.state == State::parked && c.waits_for == "futex" && !c.timed && !(c.pending & ~c.mask); }

}  // namespace

int watch(int pid, double stall_ms, double seconds) {
    std::string why;
    auto p = open_process(pid);
    if (!p || !become_user_of(*p)) return kExitFailure;
    auto unwinder = Unwinder::open(*p, &why);
    if (!unwinder) {
        complain(why);
        return kExitFailure;
    }
    catch_stop();
    TscClock clock;
    double rate = clock.ns_per_tick();
    std::map<uint64_t, uint64_t> told;  // coroutine's address -> switches when its stall was told
    uint64_t begin = tsc_now(), last_report = 0, still_since = 0, still_switches = 0;
    size_t stalls = 0, unreported = 0;
    bool deadlock_told = false;
    while (!g_stop && (seconds <= 0 || double(tsc_now() - begin) * rate < seconds * 1e9)) {
        std::vector<Coroutine> coroutines;
        std::vector<Worker> workers;
        if (!p->snapshot(&coroutines, &workers) || coroutines.empty()) break;
        uint64_t now = tsc_now(), switches = 0;
        size_t ready = 0, stuck_count = 0;
        for (const Coroutine& c : coroutines) {
            ready += c.state == State::ready;
            stuck_count += stuck(c);
            switches += c.switches;
        }
        for (const Worker& w : workers) {
            if (!w.current || !ready) continue;
            double held_ms = now > w.since_tsc ? double(now - w.since_tsc) * rate / 1e6 : 0;
            if (held_ms < stall_ms) continue;
            for (const Coroutine& c : coroutines) {
                if (c.address != w.current || !c.on) continue;
                auto before = told.find(c.address);
                if (before != told.end() && before->second == c.switches) break;
                told[c.address] = c.switches;
                stalls++;
                if (last_report && double(now - last_report) * rate < kReportEverySeconds * 1e9) {
                    unreported++;
                    break;
                }
                last_report = now;
                printf("stall: coroutine %u \"%s\" has worker %u for %.0f ms%s%s while %zu wait\n", c.tid, c.name.c_str(), w.tid, held_ms,
                       c.call == OC_NO_CALL ? "" : " in ", c.call == OC_NO_CALL ? "" : call_name(c.call).c_str(), ready);
                print_stack(unwinder->stack(c));
                break;
            }
        }
        if (stuck_count == coroutines.size() && p->multi()) {
            if (!still_since || switches != still_switches) {
                still_since = now;
                still_switches = switches;
            } else if (!deadlock_told && double(now - still_since) * rate > kDeadlockSeconds * 1e9) {
                deadlock_told = true;
                printf("deadlock: all %zu coroutines wait for futexes, without a time limit; nothing in the process can wake one\n", coroutines.size());
                for (const Coroutine& c : coroutines) {
                    printf("coroutine %u \"%s\" waits for the word at 0x%llx\n", c.tid, c.name.c_str(), (unsigned long long)c.waits_detail);
                    print_stack(unwinder->stack(c));
                }
            }
        } else {
            still_since = 0;
            deadlock_told = false;
        }
        fflush(stdout);
        usleep(useconds_t(std::clamp(stall_ms / 4, 5.0, 250.0) * 1000));
    }
    printf("%zu stall(s), %zu of them not shown; deadlock: %s\n", stalls, unreported, deadlock_told ? "yes" : "no");
    return 0;
}

}  // namespace ocrun::view
