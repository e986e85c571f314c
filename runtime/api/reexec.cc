// reexec.cc - see reexec.h
#include "runtime/api/reexec.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

extern char** environ;

namespace oc {

namespace {

// Set while ocrun starts the program again: the number of the descriptor that carries the policy, or -1.
constexpr const char* kMark = "OCRUN_RESTARTED";

bool executable(const std::string& path) {
    struct stat s;
    return stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string real(const std::string& path) {
    char buffer[PATH_MAX];
    return realpath(path.c_str(), buffer) ? buffer : "";
}

std::string find_ocrun() {
    // Where it was installed; beside the library, for an installation that was moved.
    for (const char* place : {OCRUN_INSTALLED, "/usr/bin/ocrun"})
        if (executable(place)) return place;
    Dl_info self;
    if (dladdr((void*)find_ocrun, &self) && self.dli_fname) {
        std::string library = real(self.dli_fname);
        if (library.find(".so") != std::string::npos) {
            std::string directory = library.substr(0, library.rfind('/'));
            for (const char* way : {"/../bin/ocrun", "/../../bin/ocrun"})
                if (std::string path = real(directory + way); !path.empty() && executable(path)) return path;
        }
    }
    if (getauxval(AT_SECURE)) return "";
    if (const char* named = getenv("OCRUN"); named && *named) return executable(named) ? named : "";
    const char* path = getenv("PATH");
    std::string list = path ? path : "";
    for (size_t at = 0; at <= list.size();) {
        size_t end = list.find(':', at);
        if (end == std::string::npos) end = list.size();
        std::string directory = list.substr(at, end - at);
        at = end + 1;
        if (!directory.empty() && executable(directory + "/ocrun")) return directory + "/ocrun";
    }
    return "";
}

int read_file(const char* path, std::string* out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0) out->append(buffer, size_t(n));
    int error = n < 0 ? -errno : 0;
    close(fd);
    return error;
}

// ocrun searches what it is given as a shell would; the program's own argv[0] is given when that finds the same file.
bool names_program(const std::string& argv0, const std::string& program) {
    if (argv0.find('/') != std::string::npos) return real(argv0) == program;
    const char* path = getenv("PATH");
    std::string list = path ? path : "/bin:/usr/bin";
    for (size_t at = 0; at <= list.size();) {
        size_t end = list.find(':', at);
        if (end == std::string::npos) end = list.size();
        std::string directory = list.substr(at, end - at);
        at = end + 1;
        std::string candidate = (directory.empty() ? "." : directory) + "/" + argv0;
        if (executable(candidate)) return real(candidate) == program;
    }
    return false;
}

// A policy that pins workers, as a descriptor without CLOEXEC; -1: none is needed.
int policy_fd(const oc_config& config) {
    if (!config.pin_workers) return -1;
    int fd = memfd_create("ocrun-restart", 0);
    if (fd < 0) return -1;
    dprintf(fd, "{\"version\": 1, \"scheduler\": {\"pin_workers\": true}}\n");
    return fd;
}

}  // namespace

int reexec_under_ocrun(const oc_config& config) {
    if (getenv(kMark)) return -ELOOP;
    std::string ocrun = find_ocrun();
    if (ocrun.empty()) return -ENOENT;
    std::string program = real("/proc/self/exe"), line;
    if (program.empty()) return -ENOENT;
    if (int r = read_file("/proc/self/cmdline", &line)) return r;
    std::vector<std::string> given;
    for (size_t at = 0; at < line.size();) {
        given.emplace_back(line.c_str() + at);
        at += given.back().size() + 1;
    }
    if (given.empty()) given.push_back(program);
    if (!names_program(given[0], program)) given[0] = program;

    std::vector<std::string> words{ocrun};
    if (config.workers) words.insert(words.end(), {"-w", std::to_string(config.workers)});
    int policy = policy_fd(config);
    if (policy >= 0) words.insert(words.end(), {"-c", "/proc/self/fd/" + std::to_string(policy)});
    words.push_back("--");
    words.insert(words.end(), given.begin(), given.end());
    std::vector<char*> argv, envp;
    for (std::string& w : words) argv.push_back(w.data());
    argv.push_back(nullptr);
    std::string mark = std::string(kMark) + "=" + std::to_string(policy);
    for (char** e = environ; e && *e; e++) envp.push_back(*e);
    envp.push_back(mark.data());
    envp.push_back(nullptr);
    execve(ocrun.c_str(), argv.data(), envp.data());
    int error = -errno;
    if (policy >= 0) close(policy);
    return error;
}

void reexec_forget() {
    const char* mark = getenv(kMark);
    if (!mark) return;
    int fd = atoi(mark);
    if (fd > 2) close(fd);
    unsetenv(kMark);
}

}  // namespace oc
