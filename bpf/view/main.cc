// main.cc - ocrun-view: the commands that look at running processes; `ocrun ps` and its like execute it from beside ocrun
#include <string.h>

#include <CLI/CLI.hpp>

#include "bpf/agent/agent.h"
#include "bpf/view/commands.h"
#include "bpf/view/process.h"

namespace {

using namespace ocrun::view;

// `trace [OPTIONS] PID` or `trace [OPTIONS] -- CMD ARGS...`: what follows `--` is not ours to parse.
std::vector<std::string> cut_command(int& argc, char** argv) {
    std::vector<std::string> command;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") != 0) continue;
        command.assign(argv + i + 1, argv + argc);
        argc = i;
        break;
    }
    return command;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> command = cut_command(argc, argv);
    CLI::App app{"ocrun: views of processes that run under ocrun", "ocrun"};
    app.require_subcommand(1);
    int pid = 0, status = 0, rounds = 0;
    double seconds = 0, flame_seconds = 5, interval = 1, stall_ms = 100;
    size_t most = 1000000;
    bool folded = false;
    std::string file, sort = "cpu", config;
    int workers = -1;

    CLI::App* c = app.add_subcommand("ps", "List the processes under ocrun, or the coroutines of one");
    c->add_option("PID", pid, "process id")->check(CLI::Range(1, 1 << 22));
    c->callback([&] { status = ps(pid); });

    c = app.add_subcommand("top", "Show coroutines by what they cost, live");
    c->add_option("PID", pid, "process id; without it all processes")->check(CLI::Range(1, 1 << 22));
    c->add_option("-s,--sort", sort, "cpu, wait (in run queues), parked, switches or tid")->check(CLI::IsMember({"cpu", "wait", "parked", "switches", "tid"}));
    c->add_option("-n,--rounds", rounds, "end after so many screens")->check(CLI::Range(1, 1000000000));
    c->add_option("-i,--interval", interval, "seconds between screens")->check(CLI::Range(0.05, 3600.0));
    c->callback([&] { status = top(pid, sort, rounds, interval); });

    c = app.add_subcommand("stacks", "Print the call chain of every coroutine, identical ones folded");
    c->add_option("PID", pid, "process id")->required()->check(CLI::Range(1, 1 << 22));
    c->callback([&] { status = stacks(pid); });

    auto target = [&](CLI::App* view) {
        view->add_option("PID", pid, "process id; or -- COMMAND ARGS...")->check(CLI::Range(1, 1 << 22));
        view->add_option("-t,--seconds", seconds, "how long; default: until interrupted or the process ends")->check(CLI::Range(0.001, 1e9));
        view->add_option("-w,--workers", workers, "for a COMMAND: as ocrun's option")->check(CLI::Range(0, 1024));
        view->add_option("-c,--config", config, "for a COMMAND: as ocrun's option");
    };
    auto options = [&] {
        std::vector<std::string> list;
        if (workers >= 0) list.push_back("--workers=" + std::to_string(workers));
        if (!config.empty()) list.push_back("--config=" + config);
        return list;
    };
    auto wrong_target = [&] {
        if ((pid != 0) == command.empty()) return false;
        complain(std::string(argv[1]) + ": either a PID or -- COMMAND is needed (see ocrun " + argv[1] + " --help)");
        status = kExitFailure;
        return true;
    };

    c = app.add_subcommand("stat", "Count system calls, their errors and time, as strace -c does");
    target(c);
    c->callback([&] {
        if (!wrong_target()) status = stat(pid, options(), command, seconds);
    });

    c = app.add_subcommand("trace", "Record what happens, for Perfetto or chrome://tracing");
    target(c);
    c->add_option("-o,--output", file, "the JSON file")->required();
    c->add_option("-m,--most", most, "events kept; what comes later is counted")->check(CLI::Range(size_t(1000), size_t(100000000)));
    c->callback([&] {
        if (!wrong_target()) status = trace(pid, options(), command, seconds, file, most);
    });

    c = app.add_subcommand("flame", "Draw where coroutines compute and where they wait");
    c->add_option("PID", pid, "process id")->required()->check(CLI::Range(1, 1 << 22));
    c->add_option("-t,--seconds", flame_seconds, "how long (default 5)")->check(CLI::Range(0.001, 1e9));
    c->add_option("-o,--output", file, "the SVG file (default flame.svg)");
    c->add_flag("--folded", folded, "no picture: a line for each stack with its microseconds, for other tools");
    c->callback([&] { status = flame(pid, flame_seconds, !file.empty() ? file : folded ? "flame.folded" : "flame.svg", folded); });

    c = app.add_subcommand("watch", "Tell of stalls and deadlocks as they happen");
    c->add_option("PID", pid, "process id")->required()->check(CLI::Range(1, 1 << 22));
    c->add_option("-s,--stall-ms", stall_ms, "a coroutine that holds a worker for longer while others wait (default 100)")->check(CLI::Range(1.0, 1e6));
    c->add_option("-t,--seconds", seconds, "how long; default: until interrupted or the process ends")->check(CLI::Range(0.001, 1e9));
    c->callback([&] { status = watch(pid, stall_ms, seconds); });

    AgentOptions agent;
    bool probe = false;
    c = app.add_subcommand("bpf", "Load the BPF programs for a process: maps under /sys/fs/bpf/ocrun/PID for bpftool, help for the scheduler");
    c->add_option("PID", pid, "process id")->check(CLI::Range(1, 1 << 22));
    c->add_flag("--probe", probe, "only tell whether BPF works here: `ok` or the reason");
    c->add_flag("--print", agent.print, "each switch into the kernel's trace buffer, for bpftool prog tracelog");
    c->add_flag("--no-assist", agent.no_assist, "observe only: send no signals to the runtime");
    c->add_flag("--tree", agent.tree, "the process's children too");
    c->add_option("-t,--seconds", agent.seconds, "how long; default: until interrupted or the process ends")->check(CLI::Range(0.001, 1e9));
    c->add_flag("--background", agent.background)->group("");
    c->add_option("--ready-fd", agent.ready_fd)->group("");
    c->callback([&] {
        if (!probe && !pid) throw CLI::RequiredError("PID");
        status = probe ? bpf_probe() : bpf(pid, agent);
    });

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        const std::string name = argc > 1 ? argv[1] : "";
        complain(name + ": " + e.what() + " (see ocrun " + name + " --help)");
        return kExitFailure;
    }
    return status;
}
