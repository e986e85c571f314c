// parse.cc - checking the tree of a policy and filling in the values (see parse.h)
#include "config/parse.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "config/rules.h"

namespace ocrun {
namespace {

using Mistakes = std::vector<PolicyMistake>;
using Kind = JsonNode::Kind;

// Bounds of numbers. 1024 workers: CPU_SETSIZE. Quanta: below 10 us the timer costs more than it shares out; above 1
// s it is no preemption. Stacks: 16 KiB hold the deepest path of the core with a copied xstate.
struct Bounds {
    std::int64_t low, high;
};
constexpr Bounds kWorkers = {0, 1024};
constexpr Bounds kQuantumUs = {10, 1'000'000};
constexpr Bounds kRuntimeStackKib = {16, 1024};
constexpr Bounds kOffloadThreads = {1, 1024};
constexpr Bounds kSeed = {1, INT64_MAX};

class Reader {
public:
    Reader(Policy* policy, Mistakes* mistakes) : policy_(*policy), mistakes_(*mistakes) {}

    void document(const JsonNode& root) {
        if (!expect(root, Kind::object, "a policy")) return;
        for (const JsonMember& m : root.members) {
            if (m.key == "$schema" || m.key == "description")
                expect(m.value, Kind::text, m.key.c_str());
            else if (m.key == "version")
                integer(m.value, {1, 1}, nullptr);
            else if (m.key == "scheduler")
                scheduler(m.value);
            else if (m.key == "stack")
                stack(m.value);
            else if (m.key == "io")
                io(m.value);
            else if (m.key == "rewrite")
                flag(m, &policy_.rewrite);
            else if (m.key == "tracing")
                tracing(m.value);
            else if (m.key == "seed")
                number(m.value, kSeed, &policy_.seed);
            else if (m.key == "syscalls")
                read_syscall_rules(m.value, &policy_, &mistakes_);
            else
                unknown(m, "scheduler, stack, io, rewrite, tracing, seed, syscalls, version, description, $schema");
        }
    }

private:
    void add(const JsonNode& at, std::string message) { mistakes_.push_back({at.path, at.line, std::move(message)}); }

    void unknown(const JsonMember& m, const char* known) {
        mistakes_.push_back({m.value.path, m.line, "unknown key " + json_quoted(m.key) + "; known here: " + known});
    }

    bool expect(const JsonNode& node, Kind kind, const char* what) {
        if (node.kind == kind) return true;
        add(node, std::string(what) + " must be " + json_kind_name(kind) + ", not " + json_kind_name(node.kind));
        return false;
    }

    // True when *value was set. Without `value` the number is only checked.
    template <class T>
    bool number(const JsonNode& node, Bounds bounds, T* value) {
        if (node.kind != Kind::integer) {
            add(node, std::string("must be an integer, not ") + json_kind_name(node.kind));
            return false;
        }
        if (!node.integer_fits || node.integer < bounds.low || node.integer > bounds.high) {
            add(node, "must be between " + std::to_string(bounds.low) + " and " + std::to_string(bounds.high));
            return false;
        }
        if (value) *value = T(node.integer);
        return true;
    }
    void integer(const JsonNode& node, Bounds bounds, std::uint32_t* value) { number(node, bounds, value); }

    void flag(const JsonMember& m, std::uint8_t* value) {
        if (expect(m.value, Kind::boolean, m.key.c_str())) *value = m.value.boolean;
    }

    void scheduler(const JsonNode& node) {
        if (!expect(node, Kind::object, "scheduler")) return;
        constexpr std::uint64_t kNsPerUs = 1000;
        std::uint64_t min_us = policy_.scheduler.quantum_min_ns / kNsPerUs;
        std::uint64_t max_us = policy_.scheduler.quantum_max_ns / kNsPerUs;
        bool quanta_good = true;
        for (const JsonMember& m : node.members) {
            if (m.key == "workers")
                number(m.value, kWorkers, &policy_.scheduler.workers);
            else if (m.key == "preempt")
                flag(m, &policy_.scheduler.preempt);
            else if (m.key == "pin_workers")
                flag(m, &policy_.scheduler.pin_workers);
            else if (m.key == "quantum_min_us")
                quanta_good &= number(m.value, kQuantumUs, &min_us);
            else if (m.key == "quantum_max_us")
                quanta_good &= number(m.value, kQuantumUs, &max_us);
            else
                unknown(m, "workers, preempt, pin_workers, quantum_min_us, quantum_max_us");
        }
        if (quanta_good && min_us > max_us)
            add(node, "quantum_min_us (" + std::to_string(min_us) + ") is larger than quantum_max_us (" +
                          std::to_string(max_us) + ")");
        policy_.scheduler.quantum_min_ns = min_us * kNsPerUs;
        policy_.scheduler.quantum_max_ns = max_us * kNsPerUs;
    }

    void stack(const JsonNode& node) {
        if (!expect(node, Kind::object, "stack")) return;
        for (const JsonMember& m : node.members) {
            if (m.key != "runtime_stack_kib") {
                unknown(m, "runtime_stack_kib");
                continue;
            }
            std::uint64_t kib = 0;
            if (!number(m.value, kRuntimeStackKib, &kib)) continue;
            if (kib % 4 != 0)
                add(m.value, "must be a multiple of 4, the page size in KiB");
            else
                policy_.stack.runtime_stack_bytes = kib * 1024;
        }
    }

    void io(const JsonNode& node) {
        if (!expect(node, Kind::object, "io")) return;
        for (const JsonMember& m : node.members) {
            if (m.key == "backend")
                backend(m.value);
            else if (m.key == "offload_threads_max")
                number(m.value, kOffloadThreads, &policy_.io.offload_threads_max);
            else
                unknown(m, "backend, offload_threads_max");
        }
    }

    void backend(const JsonNode& node) {
        if (!expect(node, Kind::text, "backend")) return;
        if (node.text == "auto")
            policy_.io.backend = IoBackend::automatic;
        else if (node.text == "io_uring")
            policy_.io.backend = IoBackend::io_uring;
        else if (node.text == "epoll")
            policy_.io.backend = IoBackend::epoll;
        else
            add(node, "unknown backend " + json_quoted(node.text) + "; known: auto, io_uring, epoll");
    }

    void tracing(const JsonNode& node) {
        if (!expect(node, Kind::object, "tracing")) return;
        for (const JsonMember& m : node.members) {
            if (m.key == "bpf")
                flag(m, &policy_.tracing_bpf);
            else if (m.key == "assist")
                flag(m, &policy_.tracing_assist);
            else
                unknown(m, "bpf, assist");
        }
    }

    Policy& policy_;
    Mistakes& mistakes_;
};

ParsedPolicy parse_over(const Policy& base, std::string_view text) {
    Policy policy = base;
    Mistakes mistakes;
    if (text.size() > kPolicyBytesMax) {
        mistakes.push_back({"", 0, "larger than 1 MiB, which no policy needs"});
        return mistakes;
    }
    JsonNode root;
    if (json_parse(text, &root, &mistakes)) Reader(&policy, &mistakes).document(root);
    if (mistakes.empty()) return policy;
    std::stable_sort(mistakes.begin(), mistakes.end(),
                     [](const PolicyMistake& a, const PolicyMistake& b) { return a.line < b.line; });
    return mistakes;
}

ParsedPolicy unreadable(const char* what, int error) {
    return Mistakes{{"", 0, std::string(what) + ": " + strerror(error)}};
}

}  // namespace

const Policy& default_policy() {
    static const Policy policy = [] {
        Policy blank;
        memset(&blank, 0, sizeof blank);  // padding too: the bytes are handed to other processes
        blank.magic = Policy::kMagic;
        ParsedPolicy parsed = parse_over(blank, default_policy_text());
        if (auto* mistakes = std::get_if<Mistakes>(&parsed)) {
            // A unit test keeps this from shipping.
            fputs(format_mistakes("built-in policy", *mistakes).c_str(), stderr);
            abort();
        }
        return std::get<Policy>(parsed);
    }();
    return policy;
}

ParsedPolicy parse_policy(std::string_view text) {
    return parse_over(default_policy(), text);
}

ParsedPolicy parse_policy_file(const char* path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return unreadable("cannot open", errno);
    std::string text;
    char chunk[16384];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            int error = errno;
            close(fd);
            return unreadable("cannot read", error);
        }
        if (n == 0) break;
        text.append(chunk, size_t(n));
        if (text.size() > kPolicyBytesMax) break;  // parse_policy names the mistake
    }
    close(fd);
    return parse_policy(text);
}

std::string format_mistakes(std::string_view file, const std::vector<PolicyMistake>& mistakes) {
    std::string out;
    for (const PolicyMistake& m : mistakes) {
        out.append(file);
        if (m.line != 0) out += ":" + std::to_string(m.line);
        out += ": ";
        if (!m.path.empty()) out += m.path + ": ";
        out += m.message + "\n";
    }
    return out;
}

}  // namespace ocrun
