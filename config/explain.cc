// explain.cc - the table of `ocrun check --explain` (see explain.h)
#include "config/explain.h"

#include <linux/audit.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "seccomp/filter.h"
#include "seccomp/filter_eval.h"
#include "seccomp/hooks.h"

namespace ocrun {
namespace {

// Any range does: only its outside is asked about.
constexpr u64 kTextBegin = kWindowBegin, kTextEnd = kWindowBegin + 0x1000;
constexpr u64 kGuestIp = 0x555555555000;

void column(std::string& line, size_t at) {
    line += ' ';
    if (line.size() < at) line.append(at - line.size(), ' ');
}

const char* condition_words(Condition condition) {
    switch (condition) {
        case Condition::always:
            return "always";
        case Condition::mmap_shared_or_window:
            return "the mapping is shared, a thread's stack, or may replace the runtime's window";
        case Condition::range_in_window:
            return "the range may touch the runtime's window or lies where threads' stacks do";
        case Condition::fcntl_seen:
            return "the command is F_SETLKW, F_OFD_SETLKW, F_DUPFD* or F_SETFL, or the descriptor the runtime's";
        case Condition::not_empty_path:
            return "AT_EMPTY_PATH is not set, or the descriptor the runtime's";
        case Condition::hidden_descriptor:
            return "the descriptor may be one of the runtime's";
        case Condition::thread_clock:
            return "for the CPU clocks of threads";
        case Condition::thread_usage:
            return "for RUSAGE_THREAD";
        case Condition::thread_id:
            return "the id may be a thread's that ocrun gave out";
        case Condition::ioctl_seen:
            return "the request can stop a background process, or is FIONBIO";
        case Condition::socket_option_seen:
            return "the option is SO_RCVTIMEO, SO_SNDTIMEO or SO_LINGER";
        case Condition::many_bytes:
            return "more than 4096 bytes";
        case Condition::bpf_seen:
            return "the command is BPF_PROG_LOAD or BPF_PROG_TEST_RUN";
    }
    return "?";
}

std::string result_words(std::int64_t value) {
    if (value >= 0 || value < -kMaxErrno) return "returns " + std::to_string(value) + " without the call";
    const char* name = strerrorname_np(int(-value));
    return "fails with " + (name ? std::string(name) : "errno " + std::to_string(-value)) + " without the call";
}

std::string standard_words(const SyscallRow& row) {
    if (row.hook == Hook::none) return "made by the runtime";
    return row.can_park ? "emulated, parks when it would wait" : "emulated";
}

std::string turns_words(const RuleTurns& t) {
    std::string words = ", for ";
    if (t.from == 1 && t.to == 0 && t.every == 1)
        words += "each call";
    else if (t.from == t.to)
        words += "call " + std::to_string(t.from);
    else
        words += (t.every == 1 ? "calls " : "each " + std::to_string(t.every) + "th call, ") + std::to_string(t.from) + " to " +
                 (t.to ? std::to_string(t.to) : "the last");
    if (t.chance == 0) return words + " of a process";
    char percent[32];
    snprintf(percent, sizeof percent, "%.3g %%", t.chance / 4294967296.0 * 100);
    return words + " of a process, in " + percent + " of cases";
}

std::string what_happens(const Policy& policy, const SyscallRow& row, bool traps, bool on_condition) {
    const SyscallRule& rule = policy.rules[row.nr];
    if (!traps && !on_condition) return "the kernel runs it";
    std::string words;
    switch (rule.action) {
        case Action::native:
            words = "made by the worker, which waits with it";
            break;
        case Action::standard:
            words = standard_words(row);
            break;
        case Action::park:
            words = "parks when it would wait";
            break;
        case Action::offload:
            words = "run by a helper thread";
            break;
        case Action::ret:
        case Action::deny:
            words = result_words(rule.value);
            break;
    }
    if (rule.delay_us != 0) words += ", after " + std::to_string(rule.delay_us) + " us";
    if (rule.log) words += ", logged";
    if (rule.turns != 0) words += turns_words(policy.turns[rule.turns - 1]) + "; else " + standard_words(row);
    if (on_condition) words += std::string(" if ") + condition_words(row.condition) + ", else the kernel runs it";
    return words;
}

const char* why(const SyscallRow& row, const SyscallRule& rule) {
    if (never_hooked(row.nr)) return "cannot be hooked";
    if (rule_intervenes(rule) || rule.action == Action::native) return "policy";
    switch (row.hook) {
        case Hook::required:
            return "the runtime needs it";
        case Hook::standard:
            return "default";
        case Hook::none:
            return "not hooked by default";
    }
    return "?";
}

std::string settings(const Policy& policy) {
    const SchedulerConfig& s = policy.scheduler;
    std::string out = "workers: " + (s.workers ? std::to_string(s.workers) : std::string("one per allowed CPU"));
    out += s.pin_workers ? ", pinned\n" : "\n";
    out += "preemption: " + (s.preempt ? "after " + std::to_string(s.quantum_min_ns / 1000) + " to " +
                                             std::to_string(s.quantum_max_ns / 1000) + " us"
                                       : std::string("off"));
    out += "\nruntime stacks: " + std::to_string(policy.stack.runtime_stack_bytes / 1024) + " KiB\n";
    const char* backends[] = {"auto", "io_uring", "epoll"};
    out += std::string("I/O: ") + backends[unsigned(policy.io.backend) % 3] + ", at most " +
           std::to_string(policy.io.offload_threads_max) + " helper threads\n";
    out += std::string("rewriting: ") + (policy.rewrite ? "on" : "off");
    return out + "\nBPF: " + (policy.tracing_bpf ? policy.tracing_assist ? "from the start" : "from the start, observing only" : "when asked for") + "\n\n";
}

}  // namespace

std::string explain(const Policy& policy) {
    auto built = build_filter(policy, kTextBegin, kTextEnd);
    if (auto* error = std::get_if<FilterError>(&built)) return error->message + "\n";
    const auto& program = std::get<std::vector<sock_filter>>(built);

    constexpr size_t kName = 4, kReached = 28, kWhy = 36, kWhat = 60;
    std::string out = settings(policy);
    std::string head = "NR";
    column(head, kName), head += "CALL";
    column(head, kReached), head += "DOOR";
    column(head, kWhy), head += "WHY";
    column(head, kWhat), head += "WHAT HAPPENS";
    out += head + "\n";

    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row) continue;
        const SyscallRule& rule = policy.rules[nr];
        seccomp_data data = {};
        data.nr = int(nr);
        data.arch = AUDIT_ARCH_X86_64;
        data.instruction_pointer = kGuestIp;
        const bool on_condition = trap_of(policy, *row) == Trap::on_condition;
        const bool traps = filter_eval(program.data(), unsigned(program.size()), data) == SECCOMP_RET_TRAP;
        std::string line = std::to_string(nr);
        column(line, kName), line += row->name;
        column(line, kReached), line += on_condition ? "maybe" : traps ? "trap" : "kernel";
        column(line, kWhy), line += why(*row, rule);
        column(line, kWhat), line += what_happens(policy, *row, traps, on_condition);
        if (*row->limitation) line += std::string("; note: ") + row->limitation;
        out += line + "\n";
    }
    return out;
}

}  // namespace ocrun
