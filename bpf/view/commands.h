// commands.h - the views; each returns the exit status
#pragma once
#include <string>
#include <vector>

namespace ocrun::view {

inline constexpr int kExitFailure = 125;  // as ocrun's own

int ps(int pid);  // 0: all processes
int stacks(int pid);
// sort: cpu, wait, parked, switches, tid. rounds: 0 until stopped. pid 0: all processes.
int top(int pid, const std::string& sort, int rounds, double seconds);
// pid, or 0 and a command that is started under ocrun with `options`. seconds: 0 until stopped or its end.
int stat(int pid, const std::vector<std::string>& options, const std::vector<std::string>& command, double seconds);
// most: events kept.
int trace(int pid, const std::vector<std::string>& options, const std::vector<std::string>& command, double seconds, const std::string& file,
          size_t most);
// folded: text instead of a picture.
int flame(int pid, double seconds, const std::string& file, bool folded);
// Coroutines that hold a worker for longer than stall_ms while others wait, and deadlocks, as they happen.
int watch(int pid, double stall_ms, double seconds);

}  // namespace ocrun::view
