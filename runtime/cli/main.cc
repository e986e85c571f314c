// main.cc - the command line
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "runtime/cli/commands.h"

namespace {

using namespace ocrun;

// The program beside this one.
int run_view(char** argv) {
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    if (n > 0) {
        path[n] = 0;
        strcpy(strrchr(path, '/') + 1, "ocrun-view");
        execv(path, argv);
    }
    complain(std::string("cannot execute ") + path + ": " + strerror(errno) + " (it belongs beside ocrun)");
    return kExitOwnFailure;
}

// Index of the program in argv: the first word that is neither an option nor an option's value; argc when there is none.
int program_index(int argc, char** argv) {
    static constexpr const char* kWithValue[] = {"-c", "--config", "-w", "--workers", "--io-backend"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) return i + 1;
        if (argv[i][0] != '-' || argv[i][1] == 0) return i;
        for (const char* option : kWithValue)
            if (strcmp(argv[i], option) == 0) {
                i++;
                break;
            }
    }
    return argc;
}

int run_command(int argc, char** argv) {
    CLI::App app{"ocrun: commands on policies and running processes", "ocrun"};
    app.require_subcommand(1);
    std::string file;
    bool explain_calls = false;
    int pid = 0, status = 0;
    CLI::App* check = app.add_subcommand("check", "Check a policy file and report every mistake with its JSON path and line");
    check->add_option("FILE", file, "policy to check; without it the built-in one");
    check->add_flag("--explain", explain_calls, "print what happens to each system call, and why");
    check->callback([&] { status = check_policy(file, explain_calls); });
    CLI::App* dump = app.add_subcommand("dump", "Print every coroutine (guest thread) of a process that runs under ocrun");
    dump->add_option("PID", pid, "process id")->required()->check(CLI::Range(1, 1 << 22));
    dump->callback([&] { status = dump_process(pid); });
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        const std::string name = argv[1];
        complain(name + ": " + e.what() + " (see ocrun " + name + " --help)");
        return kExitOwnFailure;
    }
    return status;
}

// CLI11 does not know of the program behind the options.
class LaunchHelp : public CLI::Formatter {
public:
    std::string make_usage(const CLI::App*, std::string) const override { return "Usage: ocrun [OPTIONS] PROGRAM [ARGS...]\n"; }
};

int run_program(const ProcessStart& start) {
    LaunchOptions options;
    options.first_arg = program_index(start.argc, start.argv);
    CLI::App app{"Runs an unmodified Linux x86-64 program with its threads as coroutines of a user-space scheduler.\n"
                 "Commands: check, dump, ps, top, stacks, stat, trace, flame, watch, bpf (ocrun COMMAND --help). A program that bears a command's name: ocrun -- NAME.",
                 "ocrun"};
    app.formatter(std::make_shared<LaunchHelp>());
    app.set_version_flag("--version", "ocrun " OCRUN_VERSION);
    app.add_option("-c,--config", options.policy_file, "policy file (JSON); default: $OCRUN_CONFIG, else the built-in policy")->type_name("FILE");
    app.add_option("-w,--workers", options.workers, "kernel threads that run coroutines; 0: as many as CPUs are allowed")
        ->check(CLI::Range(0u, kMostWorkers))
        ->type_name("N");
    app.add_flag("--no-rewrite", options.no_rewrite, "never rewrite system call sites: every hooked call traps");
    app.add_option("--io-backend", options.io_backend, "what waits without readiness: io_uring, epoll (helper threads) or auto")
        ->check(CLI::IsMember({"auto", "io_uring", "epoll"}))
        ->type_name("NAME");
    app.add_flag("--bpf", options.bpf, "with BPF: maps for bpftool under /sys/fs/bpf/ocrun, help for the scheduler (needs root)");
    app.add_option("--record", options.record)->group("");  // ocrun trace|stat -- COMMAND
    app.footer("Exit status: the program's own; 125 ocrun itself failed, 126 not executable, 127 not found.\n"
               "ocrun is not a sandbox.");
    try {
        app.parse(std::min(options.first_arg, start.argc), start.argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);
        complain(std::string(e.what()) + " (see ocrun --help)");
        return kExitOwnFailure;
    }
    if (options.first_arg >= start.argc) {
        complain("no program given (usage: ocrun [OPTIONS] PROGRAM [ARGS...], see ocrun --help)");
        return kExitOwnFailure;
    }
    return launch(start, options);
}

}  // namespace

// Reached when oc_image_starts (process/launch.cc) leaves it to libc.
int main(int argc, char** argv) {
    ProcessStart start = process_start(argv, argc);
    adopt_outer(start);
    if (argc > 1 && is_view(argv[1])) return run_view(argv);
    if (argc > 1 && is_command(argv[1])) return run_command(argc, argv);
    return run_program(start);
}
