// policy.h - the policy as values: what happens to each system call, and the scheduler's settings
//
// A plain struct of fixed layout: the launcher parses JSON once (config/parse.h) and hands these bytes to every process
// of the tree in a sealed memfd (runtime/host/handoff.h). No pointers, no libc: the core reads it in place.
#pragma once
#include <cstddef>
#include <cstdint>

namespace ocrun {

// One past the highest system call number the table knows (seccomp/syscall_table.def); the filter and the policy are
// indexed by number below it.
inline constexpr unsigned kSyscallLimit = 512;

enum class Action : std::uint8_t {
    standard = 0,  // the table's own action for this call
    park,          // try without blocking, else park the coroutine (calls that have a park form)
    offload,       // always run by a helper thread while the coroutine is parked
    native,        // not hooked at all: the kernel runs it and the worker blocks with it
    ret,           // return `value` (>= 0, or -errno) without making the call
    deny,          // return -EPERM, or the given -errno, without making the call
};

struct SyscallRule {
    Action action;
    bool log;               // one line on standard error for every call
    std::uint16_t turns;    // 0: for every call; else Policy::turns[turns - 1] says for which
    std::uint32_t delay_us; // sleep this long before the call (0: none)
    std::int64_t value;     // ret, deny: what the guest gets
};
static_assert(sizeof(SyscallRule) == 16);

// One look at all but `value`, which means nothing with Action::standard.
inline bool says_nothing(const SyscallRule& rule) {
    std::uint64_t head;
    __builtin_memcpy(&head, &rule, sizeof head);
    return head == 0;
}

// For which of a process's calls of that number a rule holds: the `from`-th to the `to`-th (0: without end), each `every`-th of
// them, and of these by chance (of 2^32; 0: all).
struct RuleTurns {
    std::uint32_t from, to, every, chance;
};
inline constexpr unsigned kMostRuleTurns = 64;

enum class IoBackend : std::uint8_t { automatic = 0, io_uring, epoll };

struct SchedulerConfig {
    std::uint32_t workers;         // 0: as many as CPUs are allowed
    std::uint8_t preempt;          // 1: busy coroutines are preempted
    std::uint8_t pin_workers;      // 1: worker i stays on the i-th allowed CPU
    std::uint8_t reserved[2];
    std::uint64_t quantum_min_ns;  // bounds of the adaptive time slice
    std::uint64_t quantum_max_ns;
};

struct StackConfig {
    std::uint64_t runtime_stack_bytes;  // of each, guard page excluded
};

struct IoConfig {
    IoBackend backend;
    std::uint8_t reserved[3];
    std::uint32_t offload_threads_max;
};

// Set by views that start a program (bpf/events.h), never by a policy file.
struct ObserveConfig {
    std::uint32_t level;  // enum oc_level; 0: nothing is recorded
    std::uint32_t reserved;
    char directory[96];
};

struct Policy {
    static constexpr std::uint64_t kMagic = 0x33796c6f706e7572;  // "runpoly3"; changes with the layout
    std::uint64_t magic;
    SchedulerConfig scheduler;
    StackConfig stack;
    IoConfig io;
    ObserveConfig observe;
    std::uint8_t rewrite;  // 1: system call sites may be rewritten
    std::uint8_t tracing_bpf, tracing_assist;  // 1: with BPF from the start; it may help the scheduler
    std::uint8_t reserved[5];
    SyscallRule rules[kSyscallLimit];
    RuleTurns turns[kMostRuleTurns];
    std::uint64_t seed;  // of what happens by chance; 0: drawn when the program is started
};

}  // namespace ocrun
