// guest_filter.cc - see guest_filter.h
#include "runtime/process/guest_filter.h"

#include <asm/errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "runtime/base/memory.h"
#include "seccomp/filter_eval.h"

extern "C" char __executable_start, etext;

namespace ocrun {

u32 g_guest_filter_count;

namespace {

// Records of {u32 length; sock_filter[length]}, one after the other; oldest first.
u8* g_programs;
u32 g_used, g_capacity;

constexpr u32 kGate = 7;

bool append(const sock_filter* program, u32 length) {
    u32 bytes = 8 + length * u32(sizeof(sock_filter));
    if (g_used + bytes > g_capacity) {
        u32 capacity = u32(page_up(u64(g_used) + bytes + 64 * 1024));
        u8* fresh = (u8*)pages_alloc(capacity);
        if (!fresh) return false;
        memcpy(fresh, g_programs, g_used);
        if (g_programs) pages_free(g_programs, g_capacity);
        g_programs = fresh;
        g_capacity = capacity;
    }
    u64 head = length;
    memcpy(g_programs + g_used, &head, 8);
    memcpy(g_programs + g_used + 8, program, length * sizeof(sock_filter));
    g_used += bytes;
    g_guest_filter_count++;
    return true;
}

// Lower value wins (kernel/seccomp.c, action_cache and ACTION_ONLY compare them as signed).
i32 severity(u32 verdict) { return i32(verdict & SECCOMP_RET_ACTION_FULL); }

}  // namespace

bool guest_filters_decide(const Call& call, long* result) {
    seccomp_data data{};
    data.nr = int(call.nr);
    data.arch = AUDIT_ARCH_X86_64;
    data.instruction_pointer = call.c->regs.rip;
    for (int i = 0; i < 6; i++) data.args[i] = call.a[i];
    u32 verdict = SECCOMP_RET_ALLOW;
    for (u32 at = 0; at < g_used;) {
        u64 length;
        memcpy(&length, g_programs + at, 8);
        u32 v = filter_eval((const sock_filter*)(g_programs + at + 8), unsigned(length), data);
        if (severity(v) <= severity(verdict)) verdict = v;  // the newest filter is asked first by the kernel; ties keep its data
        at += 8 + u32(length) * u32(sizeof(sock_filter));
    }
    switch (verdict & SECCOMP_RET_ACTION_FULL) {
        case SECCOMP_RET_ALLOW:
        case SECCOMP_RET_LOG:
            return false;
        case SECCOMP_RET_ERRNO: {
            u32 error = verdict & SECCOMP_RET_DATA;
            *result = -long(error > kMaxErrno ? kMaxErrno : error);
            return true;
        }
        case SECCOMP_RET_TRAP: {
            siginfo_t info;
            memset(&info, 0, sizeof info);
            info.si_signo = SIGSYS;
            info.si_code = 1;
            info.si_errno = int(verdict & SECCOMP_RET_DATA);
            info.si_call_addr = (void*)call.c->regs.rip;
            info.si_syscall = int(call.nr);
            info.si_arch = AUDIT_ARCH_X86_64;
            call.c->regs.rax = call.nr;
            signal_force(call.c, info);
            // The handler's frame holds rax = nr; what is returned now becomes the handler's own rax.
            *result = 0;
            return true;
        }
        case SECCOMP_RET_KILL_THREAD:
        case SECCOMP_RET_KILL_PROCESS:
            die_by_signal(SIGSYS);
        default:
            *result = -ENOSYS;  // TRACE without a tracer, USER_NOTIF without a listener
            return true;
    }
}

long guest_filter_install(u32 flags, u64 guest_program) {
    struct {
        u16 length;
        u64 filter;
    } request;
    static_assert(sizeof request == sizeof(sock_fprog));
    if (copy_from_guest(&request, (void*)guest_program, sizeof request)) return -EFAULT;
    u32 n = request.length;
    if (n == 0 || n > BPF_MAXINSNS) return -EINVAL;
    if (n + kGate > BPF_MAXINSNS) return -EINVAL;
    size_t bytes = (n + kGate) * sizeof(sock_filter);
    sock_filter* program = (sock_filter*)pages_alloc(bytes);
    if (!program) return -ENOMEM;
    u32 begin = u32((u64)&__executable_start), end = u32((u64)&etext);
    const sock_filter gate[kGate] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, begin, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, end, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_IMM, 0),  // the guest's program may count on A == 0
    };
    memcpy(program, gate, sizeof gate);
    long r = copy_from_guest(program + kGate, (void*)request.filter, n * sizeof(sock_filter));
    if (!r && !filter_valid(program + kGate, n)) r = -EINVAL;
    if (!r) {
        sock_fprog kernel{u16(n + kGate), program};
        r = sys(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &kernel);
        if (!is_error(r) && !append(program + kGate, n)) r = -ENOMEM;
    }
    pages_free(program, bytes);
    return r;
}

u32 guest_filters_bytes() { return g_used; }
const void* guest_filters_data() { return g_programs; }

void guest_filters_restore(const void* data, u32 bytes) {
    const u8* p = (const u8*)data;
    for (u32 at = 0; at + 8 <= bytes;) {
        u64 length;
        memcpy(&length, p + at, 8);
        if (length > BPF_MAXINSNS || at + 8 + length * sizeof(sock_filter) > bytes) return;
        append((const sock_filter*)(p + at + 8), u32(length));
        at += 8 + u32(length) * u32(sizeof(sock_filter));
    }
}

}  // namespace ocrun
