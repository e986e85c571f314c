// unwind.cc - see unwind.h; elfutils' libdwfl does the unwinding, this file feeds it registers and memory
#include "bpf/view/unwind.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ocrun::view {

namespace {

// As much of a stopped thread's stack as is copied before it goes on.
constexpr size_t kStackCopy = 256 * 1024;
// One that does not run is read where it lies; this much at once.
constexpr size_t kParkedCopy = 16 * 1024;

// Registers in DWARF's numbering: rax rdx rcx rbx rsi rdi rbp rsp r8 ... r15.
constexpr int kDwarfOrder[16] = {kRax, kRdx, kRcx, kRbx, kRsi, kRdi, kRbp, kRsp, kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15};

void registers_of(const user_regs_struct& r, uint64_t out[18]) {
    const unsigned long long in[18] = {r.r8,  r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi,
                                       r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp, r.rip, r.eflags};
    for (int i = 0; i < 18; i++) out[i] = in[i];
}

class DwflUnwinder : public Unwinder {
public:
    explicit DwflUnwinder(const Process& process) : process_(process) {}
    ~DwflUnwinder() override {
        if (dwfl_) dwfl_end(dwfl_);
    }

    bool begin(std::string* why) {
        static char* no_debug_path = nullptr;
        static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                                 .find_debuginfo = dwfl_standard_find_debuginfo,
                                                 .section_address = nullptr,
                                                 .debuginfo_path = &no_debug_path};
        static const Dwfl_Thread_Callbacks threads = {.next_thread = next_thread, .get_thread = get_thread, .memory_read = memory_read,
                                                      .set_initial_registers = set_registers, .detach = nullptr, .thread_detach = nullptr};
        // No downloads: names come from what is on this machine.
        unsetenv("DEBUGINFOD_URLS");
        dwfl_ = dwfl_begin(&callbacks);
        if (!dwfl_ || dwfl_linux_proc_report(dwfl_, process_.pid()) || dwfl_report_end(dwfl_, nullptr, nullptr) ||
            !dwfl_attach_state(dwfl_, nullptr, process_.pid(), &threads, this)) {
            *why = std::string("cannot read the modules of the process: ") + (dwfl_errmsg(-1) ? dwfl_errmsg(-1) : "?");
            return false;
        }
        return true;
    }

    std::vector<Frame> stack(const Coroutine& c, size_t most) override {
        frames_.clear();
        copy_.clear();
        most_ = most;
        if (!registers(c)) return {};
        dwfl_getthread_frames(dwfl_, pid_t(c.tid), on_frame, this);
        return std::move(frames_);
    }

private:
    // The guest's registers: what the last trap saved, or those of the stopped kernel thread if it is in guest code.
    bool registers(const Coroutine& c) {
        Coroutine now = c;
        constexpr int kTries = 3;
        for (int i = 0; i < kTries; i++) {
            if (!process_.refresh(&now)) return false;
            if (!now.on || !now.worker_tid) {
                memcpy(regs_, now.regs, sizeof regs_);
                copy_stack(kParkedCopy);
                Coroutine after = now;
                if (!process_.refresh(&after)) return false;
                if (after.switches == now.switches) return true;
                continue;  // it ran meanwhile: stack and registers may be of different moments
            }
            if (stopped(now)) return true;
        }
        return false;
    }

    bool stopped(const Coroutine& c) {
        pid_t tid = pid_t(c.worker_tid);
        if (ptrace(PTRACE_SEIZE, tid, 0, 0)) return saved_at_last_trap(c);
        int status = 0, inject = 0;
        bool good = ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0 && waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status);
        if (good) {
            // Stopped by a signal that was on its way: it goes on with it.
            if (status >> 16 == 0) inject = WSTOPSIG(status);
            Coroutine now = c;
            user_regs_struct r;
            good = process_.refresh(&now) && now.on == c.on && ptrace(PTRACE_GETREGS, tid, 0, &r) == 0;
            if (good) {
                registers_of(r, regs_);
                if (process_.in_runtime(regs_[kRip])) memcpy(regs_, now.regs, sizeof regs_);
                copy_stack(kStackCopy);
            }
        }
        ptrace(PTRACE_DETACH, tid, 0, (void*)(long)inject);
        return good;
    }

    // Without the right to stop it (a debugger has it already): good enough while it is in the runtime.
    bool saved_at_last_trap(const Coroutine& c) {
        if (c.call == OC_NO_CALL) return false;
        memcpy(regs_, c.regs, sizeof regs_);
        copy_stack(kParkedCopy);
        return true;
    }

    void copy_stack(size_t most) {
        copy_begin_ = regs_[kRsp] - 128;  // the red zone too
        for (size_t bytes = most; bytes >= 4096; bytes /= 2) {
            copy_.resize(bytes);
            if (process_.read(copy_begin_, copy_.data(), bytes)) return;
        }
        // The top of the stack may be less than a page away.
        copy_.resize(size_t(4096 - (copy_begin_ & 4095)));
        if (!process_.read(copy_begin_, copy_.data(), copy_.size())) copy_.clear();
    }

    static pid_t next_thread(Dwfl*, void*, void**) { return 0; }
    static bool get_thread(Dwfl*, pid_t, void* argument, void** thread) {
        *thread = argument;
        return true;
    }
    static bool memory_read(Dwfl*, Dwarf_Addr address, Dwarf_Word* result, void* argument) {
        auto* self = (DwflUnwinder*)argument;
        if (address >= self->copy_begin_ && address - self->copy_begin_ + 8 <= self->copy_.size()) {
            memcpy(result, &self->copy_[address - self->copy_begin_], 8);
            return true;
        }
        return self->process_.read(address, result, 8);
    }
    static bool set_registers(Dwfl_Thread* thread, void* argument) {
        auto* self = (DwflUnwinder*)argument;
        Dwarf_Word words[17];
        for (int i = 0; i < 16; i++) words[i] = self->regs_[kDwarfOrder[i]];
        words[16] = self->regs_[kRip];
        dwfl_thread_state_register_pc(thread, words[16]);
        return dwfl_thread_state_registers(thread, 0, 17, words);
    }

    static int on_frame(Dwfl_Frame* frame, void* argument) {
        auto* self = (DwflUnwinder*)argument;
        Dwarf_Addr pc;
        bool activation;
        if (!dwfl_frame_pc(frame, &pc, &activation)) return DWARF_CB_ABORT;
        if (!pc) return DWARF_CB_ABORT;
        // A return address is behind its call, which may be the last instruction of a function.
        // The search for a name goes through whole symbol tables, and programs with many threads have few different frames.
        constexpr size_t kMostNames = 1 << 16;
        uint64_t look = activation ? pc : pc - 1;
        if (self->names_.size() > kMostNames) self->names_.clear();
        auto [name, fresh] = self->names_.try_emplace({pc, look});
        if (fresh) name->second = self->describe(pc, look);
        self->frames_.push_back(name->second);
        return self->frames_.size() >= self->most_ ? DWARF_CB_ABORT : DWARF_CB_OK;
    }

    Frame describe(uint64_t pc, uint64_t look) {
        Frame f{pc, "", "", pc};
        Dwfl_Module* module = dwfl_addrmodule(dwfl_, look);
        if (!module) return f;
        Dwarf_Addr start = 0;
        const char* path = dwfl_module_info(module, nullptr, &start, nullptr, nullptr, nullptr, nullptr, nullptr);
        if (path) {
            const char* slash = strrchr(path, '/');
            f.module = safe_text(slash ? slash + 1 : path, 40);
        }
        f.offset = pc - start;
        GElf_Off offset = 0;
        GElf_Sym symbol;
        const char* name = dwfl_module_addrinfo(module, look, &offset, &symbol, nullptr, nullptr, nullptr);
        if (name) {
            int status = 0;
            char* plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
            f.function = safe_text(status == 0 && plain ? plain : name, 120);
            free(plain);
            f.offset = offset + (pc - look);
        }
        return f;
    }

    const Process& process_;
    Dwfl* dwfl_ = nullptr;
    uint64_t regs_[18] = {};
    uint64_t copy_begin_ = 0;
    std::vector<uint8_t> copy_;
    std::map<std::pair<uint64_t, uint64_t>, Frame> names_;
    std::vector<Frame> frames_;
    size_t most_ = 0;
};

}  // namespace

std::string Frame::text() const {
    char buffer[64];
    if (function.empty()) {
        snprintf(buffer, sizeof buffer, module.empty() ? "0x%llx" : "+0x%llx", (unsigned long long)offset);
        return module + buffer;
    }
    snprintf(buffer, sizeof buffer, "+0x%llx", (unsigned long long)offset);
    return function + buffer + (module.empty() ? "" : " (" + module + ")");
}

std::unique_ptr<Unwinder> Unwinder::open(const Process& process, std::string* why) {
    auto unwinder = std::make_unique<DwflUnwinder>(process);
    if (!unwinder->begin(why)) return nullptr;
    return unwinder;
}

}  // namespace ocrun::view
