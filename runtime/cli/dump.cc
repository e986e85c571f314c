// dump.cc - `ocrun dump PID`: asks a process under ocrun for its coroutines and prints the answer
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/cli/commands.h"
#include "runtime/signal/signals.h"

namespace ocrun {

namespace {

// The answer comes from a guest's address space: nothing of it may command the terminal.
void print_safely(const char* text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (ch == '\n' || (ch >= 32 && ch < 127))
            putchar(ch);
        else
            printf("\\x%02x", ch);
    }
}

}  // namespace

int dump_process(int pid) {
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "ocrun-dump-%d", getpid());
    socklen_t length = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + size_t(n));
    if (listener < 0 || bind(listener, (sockaddr*)&address, length) || listen(listener, 1)) {
        complain(std::string("cannot listen for the dump: ") + strerror(errno));
        return kExitOwnFailure;
    }
    siginfo_t info{};
    info.si_signo = kInternalSignal;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = kInternalDump;
    // A process that is not under ocrun would die of this signal, so look first.
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    char exe[4096], own[4096];
    ssize_t a = readlink(path, exe, sizeof exe), b = readlink("/proc/self/exe", own, sizeof own);
    if (a < 0) {
        complain("process " + std::to_string(pid) + ": " + strerror(errno));
        return kExitOwnFailure;
    }
    if (a != b || memcmp(exe, own, size_t(a)) != 0) {
        complain("process " + std::to_string(pid) + " does not run under this ocrun");
        return kExitOwnFailure;
    }
    if (syscall(SYS_rt_sigqueueinfo, pid, kInternalSignal, &info)) {
        complain("process " + std::to_string(pid) + ": " + strerror(errno));
        return kExitOwnFailure;
    }
    constexpr int kPatienceMs = 3000;
    pollfd p{listener, POLLIN, 0};
    if (poll(&p, 1, kPatienceMs) <= 0) {
        complain("process " + std::to_string(pid) + " did not answer within 3 seconds");
        return kExitOwnFailure;
    }
    int peer = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    ucred who{};
    socklen_t who_bytes = sizeof who;
    if (peer < 0 || getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes)) {
        complain(std::string("cannot take the answer: ") + strerror(errno));
        return kExitOwnFailure;
    }
    // The name of the socket can be guessed: anybody may connect.
    if (who.pid != pid) {
        complain("process " + std::to_string(who.pid) + " answered instead of process " + std::to_string(pid));
        return kExitOwnFailure;
    }
    char buffer[65536];
    for (ssize_t got; (got = read(peer, buffer, sizeof buffer)) > 0;) print_safely(buffer, size_t(got));
    return 0;
}

}  // namespace ocrun
