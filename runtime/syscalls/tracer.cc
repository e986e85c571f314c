// tracer.cc - see tracer.h
#include "runtime/syscalls/tracer.h"

#include <asm/errno.h>
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/segment_bases.h"

extern "C" const Elf64_Ehdr __executable_start;

namespace ocrun {

namespace {

enum class Way : u8 {
    none,
    begins,   // was executed; a breakpoint lies where the runtime enters the guest
    leaves,   // steps through the runtime until it is out of it
};

struct Tracee {
    u32 pid;      // 0: free
    Way way;
    i64 resumed;  // PTRACE_CONT, PTRACE_SYSCALL, PTRACE_SINGLESTEP: how its tracer let it go on
    u64 word;     // begins: what lay under the breakpoint
    i32 report;   // what is reported at the end of the way
    u32 kicked;   // its process, when a kick came during a single step: it gets another one behind it
};

constexpr u32 kTracees = 256;  // further ones are seen as the kernel shows them
OC_APART Tracee g_tracees[kTracees];
std::atomic<u32> g_tracees_used{0};
Lock g_tracees_lock;

Tracee* find(u32 pid, bool make) {
    Locked held(g_tracees_lock);
    u32 n = g_tracees_used.load(std::memory_order_relaxed);
    Tracee* free = nullptr;
    for (u32 i = 0; i < n; i++) {
        if (g_tracees[i].pid == pid) return &g_tracees[i];
        if (!g_tracees[i].pid) free = &g_tracees[i];
    }
    if (!make) return nullptr;
    if (!free && n < kTracees) {
        free = &g_tracees[n];
        g_tracees_used.store(n + 1, std::memory_order_relaxed);
    }
    if (free) *free = {pid, Way::none, PTRACE_CONT, 0, 0, 0};
    return free;
}

void forget(u32 pid) {
    if (!g_tracees_used.load(std::memory_order_relaxed)) return;
    if (Tracee* t = find(pid, false)) t->pid = 0;
}

long ask(Coroutine* c, i64 request, u32 pid, u64 address, u64 data) {
    Call call{c, __NR_ptrace, {u64(request), pid, address, data, 0, 0}};
    return tracer_request(call);
}

bool instruction_pointer(Coroutine* c, u32 pid, u64* rip) {
    return !is_error(ask(c, PTRACE_PEEKUSER, pid, offsetof(user_regs_struct, rip), u64(rip)));
}

// It has the very text that is the runtime's here.
bool runs_ocrun(u32 pid) {
    TextBuffer<48> path;
    path.add("/proc/").dec(i64(pid)).add("/exe");
    struct stat its, ours;
    return !is_error(sys(__NR_stat, path.c_str(), &its)) && !is_error(sys(__NR_stat, "/proc/self/exe", &ours)) && its.st_dev == ours.st_dev &&
           its.st_ino == ours.st_ino;
}

constexpr u64 kBreakpoint = 0xcc, kByte = 0xff;
u64 entry() { return (u64)oc_resume_guest; }

bool begin(Coroutine* c, u32 pid, i32 status) {
    Tracee* t = find(pid, true);
    if (!t || t->resumed == PTRACE_SYSCALL) return false;
    if (is_error(ask(c, PTRACE_PEEKTEXT, pid, entry(), u64(&t->word)))) return false;
    if (is_error(ask(c, PTRACE_POKETEXT, pid, entry(), (t->word & ~kByte) | kBreakpoint))) return false;
    t->way = Way::begins;
    t->report = status;
    return !is_error(ask(c, PTRACE_CONT, pid, 0, 0));
}

// The runtime's own signal to itself: a trapped call, a tick, a kick.
bool is_the_runtimes(const siginfo_t& info) {
    if (info.si_signo == SIGSYS) return info.si_code == 1;  // SYS_SECCOMP
    if (info.si_signo != kInternalSignal) return false;
    if (info.si_code == SI_TIMER) return info.si_value.sival_int == kInternalTick;
    return info.si_code == SI_QUEUE && info.si_value.sival_int == kInternalKick;
}

// The process of a thread: the tracer of a thread may not know it either.
u32 group_of(u32 tid) {
    constexpr char kKey[] = "Tgid:";
    TextBuffer<48> path;
    path.add("/proc/").dec(i64(tid)).add("/status");
    long fd = sys(__NR_open, path.c_str(), O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return 0;
    char text[512];
    long n = sys(__NR_read, fd, text, sizeof text - 1);
    sys(__NR_close, fd);
    text[n > 0 ? n : 0] = 0;
    u64 group = 0;
    for (const char* p = text; *p; p++)
        if (text_starts_with(p, kKey)) {
            p += sizeof kKey - 1;
            while (*p == '\t' || *p == ' ') p++;
            text_parse_u64(&p, &group);
            break;
        }
    return u32(group);
}

// The last step out of the runtime, where it is an iretq: done by hand. The kernel takes that instruction for one by which a program
// sets the trap flag itself (arch/x86/kernel/step.c), and would leave it set from then on.
bool leaves_by_iretq(Coroutine* c, u32 pid, u64 rip) {
    constexpr u16 kIretq = 0xcf48;
    u16 code;
    memcpy(&code, (const void*)rip, sizeof code);  // one text in both
    if (code != kIretq) return false;
    user_regs_struct r;
    u64 frame[5];  // rip, cs, eflags, rsp, ss
    if (is_error(ask(c, PTRACE_GETREGS, pid, 0, u64(&r)))) return false;
    for (u64 i = 0; i < 5; i++)
        if (is_error(ask(c, PTRACE_PEEKDATA, pid, r.rsp + i * 8, u64(&frame[i])))) return false;
    r.rip = frame[0], r.eflags = frame[2], r.rsp = frame[3];
    return !is_error(ask(c, PTRACE_SETREGS, pid, 0, u64(&r)));
}

// Does the instruction there use FS? Where the kernel loses it (seccomp/segment_bases.h) that is what such a fault comes of.
bool uses_fs(Coroutine* c, u32 pid, u64 rip) {
    constexpr u8 kFs = 0x64, kPrefixes[] = {0x65, 0x26, 0x2e, 0x36, 0x3e, 0x66, 0x67, 0xf0, 0xf2, 0xf3};
    u8 code[8];
    if (is_error(ask(c, PTRACE_PEEKTEXT, pid, rip, u64(code)))) return false;
    for (u8 byte : code) {
        if (byte == kFs) return true;
        bool prefix = false;
        for (u8 one : kPrefixes) prefix |= one == byte;
        if (!prefix) return false;
    }
    return false;
}

// One stop. True: passed over.
bool pass_over(Coroutine* c, u32 pid, i32* status) {
    const int sig = *status >> 8 & 0xff, event = *status >> 16;
    Tracee* t = g_tracees_used.load(std::memory_order_relaxed) ? find(pid, false) : nullptr;
    u64 rip;
    if (t && t->way == Way::begins) {
        if (sig != SIGTRAP || event || !instruction_pointer(c, pid, &rip) || rip != entry() + 1)
            return !is_error(ask(c, PTRACE_CONT, pid, 0, event ? 0 : u64(sig)));
        if (is_error(ask(c, PTRACE_POKETEXT, pid, entry(), t->word))) return false;
        if (is_error(ask(c, PTRACE_POKEUSER, pid, offsetof(user_regs_struct, rip), entry()))) return false;
        t->way = Way::leaves;
        return !is_error(ask(c, PTRACE_SINGLESTEP, pid, 0, 0));
    }
    if (t && t->way == Way::leaves && sig == SIGTRAP && !event) {
        if (instruction_pointer(c, pid, &rip) && in_runtime(rip) && !leaves_by_iretq(c, pid, rip))
            return !is_error(ask(c, PTRACE_SINGLESTEP, pid, 0, 0));
        t->way = Way::none;
        *status = t->report;
        return false;
    }
    if (sig == SIGTRAP && (!event || event == PTRACE_EVENT_EXEC))
        return instruction_pointer(c, pid, &rip) && rip == __executable_start.e_entry && runs_ocrun(pid) && begin(c, pid, *status);
    if (event || (sig != SIGSYS && sig != kInternalSignal && sig != SIGSEGV && sig != SIGBUS)) return false;
    siginfo_t info;
    if (is_error(ask(c, PTRACE_GETSIGINFO, pid, 0, u64(&info))) || !runs_ocrun(pid)) return false;
    // The runtime reads of the guest's memory what may not be there; and it gives FS back where that was lost.
    const bool faulted = (sig == SIGSEGV || sig == SIGBUS) && info.si_code > 0 && instruction_pointer(c, pid, &rip) &&
                         (in_runtime(rip) || (g_bases_unkept && uses_fs(c, pid, rip)));
    if (!faulted && !is_the_runtimes(info)) return false;
    const i64 how = t ? t->resumed : i64(PTRACE_CONT);
    if (t && how == PTRACE_SINGLESTEP && t->way == Way::none && sig == kInternalSignal) {
        // Behind a tick or a kick the kernel thread may run another coroutine, and the step would never end.
        if (info.si_code != SI_TIMER) t->kicked = group_of(pid);
        return !is_error(ask(c, how, pid, 0, 0));
    }
    if (t && how == PTRACE_SINGLESTEP && t->way == Way::none) {
        t->way = Way::leaves;
        t->report = SIGTRAP << 8 | 0x7f;
    }
    return !is_error(ask(c, how, pid, 0, u64(sig)));
}

void kick_again(u32 pid) {
    Tracee* t = g_tracees_used.load(std::memory_order_relaxed) ? find(pid, false) : nullptr;
    if (!t || !t->kicked) return;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_value.sival_int = kInternalKick;
    sys(__NR_rt_tgsigqueueinfo, t->kicked, pid, kInternalSignal, &info);
    t->kicked = 0;
}

}  // namespace

long tracer_request(Call& call) {
    // A child that asked to be traced is traced by the kernel thread that forked it: this worker, or another one.
    static std::atomic<KThread*> last{nullptr};
    long r = native(call);
    if (r != -ESRCH || !g_multi) return r;
    KThread* first = last.load(std::memory_order_relaxed);
    if (first && first != this_thread() && !first->owner.load(std::memory_order_relaxed)) {
        r = call_on_worker(first, call.nr, call.a);
        if (r != -ESRCH) return r;
    }
    for (u32 i = 0; i < workers_started(); i++) {
        KThread* t = worker_at(i);
        // Pinned threads trace for their own coroutine.
        if (t == first || t == this_thread() || t->owner.load(std::memory_order_relaxed) || t->ended) continue;
        r = call_on_worker(t, call.nr, call.a);
        if (r == -ESRCH) continue;
        last.store(t, std::memory_order_relaxed);
        return r;
    }
    return -ESRCH;
}

long h_ptrace(Call& call) {
    const i64 request = i64(call.a[0]);
    if (request == PTRACE_TRACEME && !g_multi) {
        if (call.c->trace_me || under_tracer()) return -EPERM;
        tracing_wanted(call.c);
        return 0;
    }
    if (request == PTRACE_TRACEME || request == PTRACE_ATTACH || request == PTRACE_SEIZE) return h_ptrace_begins(call);
    if (request == PTRACE_CONT || request == PTRACE_SYSCALL || request == PTRACE_SINGLESTEP) {
        if (Tracee* t = find(u32(call.a[1]), true)) {
            t->resumed = request;
            t->way = Way::none;
        }
    }
    long r = tracer_request(call);
    if (request == PTRACE_DETACH && !is_error(r)) forget(u32(call.a[1]));
    return r;
}

bool tracer_passes_over(Coroutine* c, u32 pid, i32* status) {
    // On its way out of the runtime a tracee stops some thousand times, each for a moment.
    constexpr int kLooks = 20;
    for (;;) {
        if (!WIFSTOPPED(*status)) {
            forget(pid);
            return false;
        }
        if (!pass_over(c, pid, status)) {
            kick_again(pid);
            return false;
        }
        long found = 0;
        for (int i = 0; i < kLooks && !found; i++) {
            found = sys(__NR_wait4, pid, status, WNOHANG | __WALL, nullptr);
            if (!found) sys(__NR_sched_yield);
        }
        if (found != long(pid)) return true;
    }
}

}  // namespace ocrun
