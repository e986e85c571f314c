// filter.cc - building and installing the seccomp program (see filter.h)
#include "seccomp/filter.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/mman.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <memory>

#include "runtime/base/text.h"
#include "seccomp/compact.h"
#include "seccomp/hooks.h"
#include "seccomp/install.h"

namespace ocrun {
namespace {

// libseccomp accepts one comparison per argument, so the window has to be one masked value.
constexpr u64 kWindowBytes = kWindowEnd - kWindowBegin;
constexpr u64 kWindowMask = ~(kWindowBytes - 1);
static_assert((kWindowBytes & (kWindowBytes - 1)) == 0 && kWindowBegin % kWindowBytes == 0);
constexpr u64 kArenaMask = ~(kArenaEnd - kArenaBegin - 1);
static_assert(~kArenaMask + 1 == kArenaEnd - kArenaBegin && (kArenaBegin & ~kArenaMask) == 0);

constexpr u32 kIoprioWhoProcess = 1;  // include/uapi/linux/ioprio.h

using Compare = scmp_arg_cmp;

Compare bits(unsigned arg, u64 mask, u64 value) {
    return {arg, SCMP_CMP_MASKED_EQ, mask, value};
}
// The kernel takes these arguments as 32-bit values: the upper half must not let a call slip through.
Compare word(unsigned arg, u32 value) {
    return bits(arg, 0xffffffff, value);
}

class Builder {
public:
    Builder(scmp_filter_ctx context, u32 hidden_fds) : context_(context), hidden_fds_(hidden_fds) {}

    void trap(unsigned nr, std::initializer_list<Compare> compares = {}) {
        if (error_ != 0) return;
        error_ = seccomp_rule_add_exact_array(context_, SCMP_ACT_TRAP, int(nr), unsigned(compares.size()),
                                              compares.begin());
        if (error_ != 0) failed_nr_ = nr;
    }

    // Traps when [address, address + length) may touch the window and `extra` holds. Sums cannot be computed here, so
    // a range that begins below is judged by its distance and length: some harmless calls trap, none is missed.
    void trap_window(unsigned nr, unsigned address, unsigned length, std::initializer_list<Compare> extra = {}) {
        with(nr, extra, {bits(address, kWindowMask, kWindowBegin)});
        with(nr, extra, {bits(address, kWindowMask, kWindowBegin - kWindowBytes)});
        with(nr, extra, {{address, SCMP_CMP_LT, kWindowBegin, 0}, {length, SCMP_CMP_GT, kWindowBytes, 0}});
    }

    // Traps when the first argument may be one of the runtime's descriptors: the blocks of 16 numbers where they begin
    // and may end.
    void trap_hidden(unsigned nr, std::initializer_list<Compare> extra = {}) {
        constexpr u32 kBlock = 16;
        u32 first = hidden_fds_ & ~(kBlock - 1), last = (hidden_fds_ + kBlock - 1) & ~(kBlock - 1);
        for (u32 block = first; block <= last; block += kBlock) with(nr, extra, {bits(0, u32(~(kBlock - 1)), block)});
    }

    int error() const { return error_; }
    unsigned failed_nr() const { return failed_nr_; }

private:
    void with(unsigned nr, std::initializer_list<Compare> extra, std::initializer_list<Compare> own) {
        if (error_ != 0) return;
        std::vector<Compare> all(own);
        all.insert(all.end(), extra);
        error_ = seccomp_rule_add_exact_array(context_, SCMP_ACT_TRAP, int(nr), unsigned(all.size()), all.data());
        if (error_ != 0) failed_nr_ = nr;
    }

    scmp_filter_ctx context_;
    u32 hidden_fds_;
    int error_ = 0;
    unsigned failed_nr_ = 0;
};

void add_conditional(Builder& b, const SyscallRow& row) {
    const unsigned nr = row.nr;
    switch (row.condition) {
        case Condition::always:
            b.trap(nr);
            break;
        case Condition::mmap_shared_or_window:
            b.trap(nr, {bits(3, MAP_SHARED, MAP_SHARED)});  // MAP_SHARED_VALIDATE has this bit too
            b.trap_window(nr, 0, 1, {bits(3, MAP_FIXED, MAP_FIXED)});
            b.trap_window(nr, 0, 1, {bits(3, MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE)});
            b.trap(nr, {bits(0, kArenaMask, kArenaBegin)});
            b.trap(nr, {bits(0, ~0ul, 0), word(2, PROT_NONE), bits(3, MAP_STACK, MAP_STACK)});
            b.trap(nr, {bits(0, ~0ul, 0), {1, SCMP_CMP_LE, kArenaPlainMost, 0}, word(2, PROT_NONE), word(3, MAP_PRIVATE | MAP_ANONYMOUS)});
            break;
        case Condition::range_in_window:
            b.trap_window(nr, 0, 1);
            b.trap(nr, {bits(0, kArenaMask, kArenaBegin)});
            if (nr == __NR_mremap) {  // its target range: fifth and third argument
                b.trap_window(nr, 4, 2, {bits(3, MREMAP_FIXED, MREMAP_FIXED)});
                b.trap(nr, {bits(3, MREMAP_FIXED, MREMAP_FIXED), bits(4, kArenaMask, kArenaBegin)});
            }
            break;
        case Condition::fcntl_seen:
            for (u32 command : {F_SETLKW, F_OFD_SETLKW, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFL, F_SETOWN_EX, F_GETOWN_EX, F_GETOWN})
                b.trap(nr, {word(1, command)});
            b.trap_hidden(nr);
            break;
        case Condition::not_empty_path:
            b.trap(nr, {bits(3, AT_EMPTY_PATH, 0)});
            b.trap_hidden(nr);
            break;
        case Condition::hidden_descriptor:
            b.trap_hidden(nr);
            break;
        case Condition::thread_clock:
            b.trap(nr, {word(0, CLOCK_THREAD_CPUTIME_ID)});
            b.trap(nr, {bits(0, 0x80000000u, 0x80000000u)});
            break;
        case Condition::thread_usage:
            b.trap(nr, {word(0, RUSAGE_THREAD)});
            break;
        case Condition::thread_id:
            // The comparison is of 64 bits: what stands in an upper half traps, and the handler looks at 32.
            if (nr == __NR_ioprio_get || nr == __NR_ioprio_set) {
                b.trap(nr, {word(0, kIoprioWhoProcess)});
            } else {
                b.trap(nr, {{0, SCMP_CMP_GE, kFirstThreadId, 0}});
                if (nr == __NR_kcmp) b.trap(nr, {{1, SCMP_CMP_GE, kFirstThreadId, 0}});
            }
            break;
        case Condition::ioctl_seen:
            // The TCSETS2 family and the line calls stop a background process just as the classic ones do.
            for (u32 request : {u32(TIOCSPGRP), u32(TCSETS), u32(TCSETSW), u32(TCSETSF), u32(TCSETS2), u32(TCSETSW2),
                                u32(TCSETSF2), u32(TCSBRK), u32(TCSBRKP), u32(TCXONC), u32(TCFLSH), u32(FIONBIO)})
                b.trap(nr, {word(1, request)});
            break;
        case Condition::socket_option_seen:
            for (u32 option : {SO_LINGER, 20, 21, 66, 67})  // SO_RCVTIMEO_OLD, SO_SNDTIMEO_OLD, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW
                b.trap(nr, {word(1, SOL_SOCKET), word(2, option)});
            break;
        case Condition::many_bytes:
            b.trap(nr, {{1, SCMP_CMP_GT, 4096, 0}});
            break;
        case Condition::bpf_seen:
            for (u32 command : {BPF_PROG_LOAD, BPF_PROG_TEST_RUN}) b.trap(nr, {word(0, command)});
            break;
    }
}

std::string error_words(int error) {
    return std::string(strerror(error < 0 ? -error : error));
}

struct ContextDelete {
    void operator()(void* context) const { seccomp_release(context); }
};

// libseccomp 2.5 writes programs to descriptors only.
std::variant<std::vector<sock_filter>, FilterError> export_program(scmp_filter_ctx context) {
    int fd = int(syscall(SYS_memfd_create, "ocrun-filter", MFD_CLOEXEC));
    if (fd < 0) return FilterError{"cannot create a memory file for the seccomp program: " + error_words(errno)};
    std::vector<sock_filter> program;
    int error = seccomp_export_bpf(context, fd);
    off_t bytes = error == 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (bytes > 0) {
        program.resize(size_t(bytes) / sizeof(sock_filter));
        if (pread(fd, program.data(), size_t(bytes), 0) != bytes) error = errno != 0 ? errno : EIO;
    }
    close(fd);
    if (error != 0 || program.empty())
        return FilterError{"libseccomp cannot export the program: " + error_words(error != 0 ? error : EIO)};
    return program;
}

bool is_trap(const sock_filter& insn) {
    return insn.code == (BPF_RET | BPF_K) && (insn.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRAP;
}

// Replaces in place, so that libseccomp's own jumps stay right; the 32-bit operand of JA reaches the end from
// anywhere, which the 8-bit displacements of conditional jumps would not.
void append_gate(std::vector<sock_filter>& program, u64 text_begin, u64 text_end) {
    const size_t gate = program.size();
    for (size_t i = 0; i < gate; i++)
        if (is_trap(program[i])) program[i] = BPF_STMT(BPF_JMP | BPF_JA, u32(gate - i - 1));
    program.resize(gate + kGateLength);
    write_gate(&program[gate], text_begin, text_end);
}

}  // namespace

std::variant<std::vector<sock_filter>, FilterError> build_filter(const Policy& policy, u64 text_begin, u64 text_end, u32 hidden_fds) {
    if (text_begin >= text_end || text_begin >> 32 != text_end >> 32)
        return FilterError{"the runtime's text range is empty or crosses a 4 GiB boundary"};
    std::unique_ptr<void, ContextDelete> context(seccomp_init(SCMP_ACT_ALLOW));
    if (!context) return FilterError{"libseccomp cannot start: out of memory"};
    if (seccomp_arch_native() != SCMP_ARCH_X86_64) return FilterError{"libseccomp was not built for x86-64"};
    int error = seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP);
    // A tree over the numbers: ten comparisons instead of a hundred for the hooked ones (libseccomp >= 2.5).
    if (error == 0) error = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error != 0) return FilterError{"libseccomp refuses an attribute: " + error_words(error)};

    Builder builder(context.get(), hidden_fds);
    for (unsigned nr = 0; nr < kSyscallLimit; nr++) {
        const SyscallRow* row = syscall_row(nr);
        if (!row) continue;
        switch (trap_of(policy, *row)) {
            case Trap::never:
                break;
            case Trap::always:
                builder.trap(nr);
                break;
            case Trap::on_condition:
                add_conditional(builder, *row);
                break;
        }
    }
    if (builder.error() != 0) {
        const char* name = syscall_name(builder.failed_nr());
        return FilterError{std::string("libseccomp refuses the rule for ") + name + ": " +
                           error_words(builder.error())};
    }

    auto exported = export_program(context.get());
    auto* program = std::get_if<std::vector<sock_filter>>(&exported);
    if (!program) return exported;
    *program = compact(*program);
    append_gate(*program, text_begin, text_end);
    if (program->size() > BPF_MAXINSNS)
        return FilterError{"the seccomp program has " + std::to_string(program->size()) +
                           " instructions, the kernel accepts " + std::to_string(BPF_MAXINSNS)};
    return exported;
}

long install_filter(const std::vector<sock_filter>& program, std::string& message) {
    long r = prepare_install();
    if (is_error(r)) {
        message = "cannot set NO_NEW_PRIVS, which an unprivileged seccomp filter needs: " + error_words(int(r));
        return r;
    }
    r = install_program(program.data(), u32(program.size()));
    if (!is_error(r)) return 0;
    message = "the kernel refuses the seccomp filter: " + error_words(int(r));
    if (r == -ENOSYS || r == -EINVAL) message += " (seccomp filters need CONFIG_SECCOMP_FILTER)";
    if (r == -EACCES || r == -EPERM) message += " (a container or an outer filter forbids seccomp)";
    return r;
}

}  // namespace ocrun
