// process.h - a process under ocrun, read from outside
//
// The board (bpf/events.h) is found by the ELF note of the process's executable and read with process_vm_readv, which the
// kernel allows for one's own processes; the observed process takes no part. What is read may be anything: every count is
// bounded, every text escaped before it is printed.
#pragma once
#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bpf/events.h"

namespace ocrun::view {

// One line on standard error: "ocrun: " + text.
void complain(const std::string& text);
// Printable, at most `columns` characters.
std::string safe_text(const std::string& text, size_t columns = 1000);
// "read", or "syscall_999".
std::string call_name(uint32_t nr);
std::string errno_words();

enum class State { running, kernel, ready, parked };
const char* state_name(State state);

struct Coroutine {
    uint64_t address, switches, cpu_tsc, cpu_base_ns, queued_tsc, parked_tsc, waits_detail, parked_since_tsc, deadline_ns, mask, pending;
    uint32_t tid, parent, call;
    uint64_t on;          // the worker that runs it, 0: none
    uint32_t worker_tid;  // its kernel thread, 0: none
    State state;
    bool direct, timed;
    std::string name, waits_for;
    uint64_t regs[18];    // struct sigcontext order; of a coroutine that runs: at its last trap
};
// Indices into regs.
enum Register { kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15, kRdi, kRsi, kRbp, kRbx, kRdx, kRax, kRcx, kRsp, kRip, kEflags };

struct Worker {
    uint64_t address;
    uint32_t tid, queued;
    uint64_t current, since_tsc;
    char kernel_state;  // R, S, D ... of /proc
};

class Process {
public:
    // Null with *why filled: not there, not ours to read, not under ocrun, or of another version.
    static std::unique_ptr<Process> open(int pid, std::string* why);
    // Every process of this machine that runs under an ocrun and may be read.
    static std::vector<std::unique_ptr<Process>> all(unsigned* unreadable);

    int pid() const { return pid_; }
    uid_t uid() const { return uid_; }
    const std::string& command() const { return command_; }
    const oc_board& board() const { return board_; }
    bool in_runtime(uint64_t address) const { return address >= (uint64_t)board_.text_begin && address < (uint64_t)board_.text_end; }
    // True when all of it was there.
    bool read(uint64_t address, void* to, size_t bytes) const;
    bool write(uint64_t address, const void* from, size_t bytes) const;
    // A NUL-terminated text of at most `most` bytes.
    std::string read_text(uint64_t address, size_t most) const;
    // False: the process is gone. Coroutines in the order of their slots.
    bool snapshot(std::vector<Coroutine>* coroutines, std::vector<Worker>* workers) const;
    // One coroutine afresh; false when it is gone.
    bool refresh(Coroutine* c) const;
    uint64_t system_calls() const;
    bool multi() const;
    bool alive() const;
    // When it started, in clock ticks since boot: a pid that was given anew differs.
    unsigned long long start_time() const { return start_time_; }

private:
    Process() = default;
    bool decode(const uint8_t* bytes, uint64_t address, Coroutine* c) const;
    std::string waits_text(uint64_t address) const;

    int pid_ = 0;
    uid_t uid_ = 0;
    unsigned long long start_time_ = 0;
    std::string command_;
    oc_board board_{};
    mutable std::map<uint64_t, std::string> texts_;
};

// Process::open; when there is none a line says why.
std::unique_ptr<Process> open_process(int pid);

// Field 22 of /proc/PID/stat, 0 when the process is gone.
unsigned long long process_start_time(int pid);
// State letter of a kernel thread, '?' when it is gone.
char thread_state(int pid, int tid);
// The board's address by the note of an ELF file, 0: none.
uint64_t board_address(const std::string& file);

// Time-stamp counter against CLOCK_MONOTONIC: the longer the object lives, the better it knows the rate.
class TscClock {
public:
    TscClock();
    void anchor();
    double ns_per_tick();
    double ns(uint64_t ticks) { return double(ticks) * ns_per_tick(); }
    // Monotonic nanoseconds of a moment, by the nearest anchors.
    double moment_ns(uint64_t tsc);

private:
    struct Anchor {
        uint64_t tsc, ns;
    };
    std::vector<Anchor> anchors_;
};
uint64_t tsc_now();

// Drops root's rights for those of the user whose program is going to be parsed. False (with a line) when refused.
bool become_user_of(const Process& process);

}  // namespace ocrun::view
