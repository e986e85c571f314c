// agent.cc - see agent.h
//
// Two processes: the worker holds the descriptors of programs, links and clocks, so all of it is gone with the worker however
// that ends; the guard waits for it and removes the pins if it could not do so itself. Neither is a child of the observed
// process, which can neither wait for them nor see a descriptor of them.
#include "bpf/agent/agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <map>
#include <set>

#include "bpf/agent/target.h"
#include "bpf/view/record.h"

namespace ocrun::view {

namespace {

constexpr int kExit = 125;
constexpr useconds_t kLookUs = 100000, kStartUs = 1000;
constexpr double kStartSeconds = 10;
constexpr size_t kMostTargets = 64;

double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return double(t.tv_sec) + double(t.tv_nsec) / 1e9;
}

void say(const AgentOptions& options, const std::string& line) {
    if (options.ready_fd >= 0) {
        dprintf(options.ready_fd, "%s\n", line.c_str());
    } else if (!line.empty()) {
        complain(line);
    }
}

std::set<int> children_of(int pid) {
    std::set<int> found;
    std::string tasks = "/proc/" + std::to_string(pid) + "/task";
    DIR* d = opendir(tasks.c_str());
    if (!d) return found;
    while (dirent* e = readdir(d)) {
        if (e->d_name[0] == '.') continue;
        if (FILE* f = fopen((tasks + "/" + e->d_name + "/children").c_str(), "re")) {
            for (int child; fscanf(f, "%d", &child) == 1;) found.insert(child);
            fclose(f);
        }
    }
    closedir(d);
    return found;
}

int work(int pid, AgentOptions options) {
    std::string why;
    std::map<int, std::unique_ptr<Target>> targets;
    std::set<int> refused;
    if (options.ready_fd < 0 && !Process::open(pid, &why)) {
        say(options, why);
        return kExit;
    }
    auto first = Target::load(pid, options, &why);
    if (!first) {
        say(options, why);
        return kExit;
    }
    targets[pid] = std::move(first);
    bool waits_for_start = options.ready_fd >= 0;
    if (waits_for_start) {  // the process goes on and starts its program when it reads this
        dprintf(options.ready_fd, "\n");
        close(options.ready_fd);
    }
    double began = now();
    bool have = false;
    while (!g_stop && now() - began < kStartSeconds && targets[pid]->alive() && !(have = targets[pid]->hand_over())) usleep(kStartUs);
    if (!have && targets[pid]->alive() && !g_stop) {
        if (!waits_for_start) complain("process " + std::to_string(pid) + " does not run under ocrun, or did not take the maps");
        return kExit;
    }
    if (!waits_for_start && !options.background) printf("BPF is on for process %d: %s/%d\n", pid, kPinRoot, pid), fflush(stdout);
    while (!g_stop && !targets.empty() && (options.seconds <= 0 || now() - began < options.seconds)) {
        std::set<int> fresh;
        for (auto t = targets.begin(); t != targets.end();) {
            if (!t->second->alive()) {
                t = targets.erase(t);
                continue;
            }
            if (options.tree)
                for (int child : children_of(t->first))
                    if (!targets.count(child) && !refused.count(child)) fresh.insert(child);
            t->second->hand_over();
            t->second->look_after();
            ++t;
        }
        for (int child : fresh) {
            std::string ignored;
            if (targets.size() >= kMostTargets || !Process::open(child, &ignored)) continue;
            AgentOptions quiet = options;
            quiet.ready_fd = -1;
            if (auto target = Target::load(child, quiet, &ignored))
                targets[child] = std::move(target);
            else
                refused.insert(child);
        }
        usleep(kLookUs);
    }
    return 0;
}

}  // namespace

int bpf_probe() {
    std::string why = bpf_unusable();
    printf("%s\n", !why.empty() ? why.c_str() : bpf_lacks_iterator() ? "ok, but without the table `top`: this kernel refuses BPF iterators" : "ok");
    return why.empty() ? 0 : 1;
}

int bpf(int pid, const AgentOptions& options) {
    if (options.background) {
        // Out of the caller's session; its parent is whoever adopts orphans.
        if (fork() > 0) _exit(0);
        setsid();
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd : {0, 1, 2}) dup2(null, fd);
        if (chdir("/")) return kExit;
    }
    std::string why;
    // A missing mount or right is said before the programs are loaded for a second time.
    if (!options.background && !(why = bpf_unusable()).empty()) {
        say(options, "BPF is off: " + why);
        return kExit;
    }
    reap_stale();
    catch_stop();
    int worker = fork();
    if (worker < 0) return kExit;
    if (worker == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        prctl(PR_SET_NAME, "ocrun-agent");
        exit(work(pid, options));
    }
    if (options.ready_fd >= 0) close(options.ready_fd);
    prctl(PR_SET_NAME, "ocrun-guard");
    int status = 0;
    bool told = false;
    while (waitpid(worker, &status, 0) != worker)
        if (g_stop && !told) {
            kill(worker, SIGTERM);
            told = true;
        }
    reap_stale();
    return WIFEXITED(status) ? WEXITSTATUS(status) : kExit;
}

}  // namespace ocrun::view
