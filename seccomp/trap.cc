// trap.cc - SIGSYS entry and saving of the interrupted state (see trap.h)
#include "seccomp/trap.h"

#include <asm/errno.h>
#include <cpuid.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/base/tick_clock.h"
#include "seccomp/segment_bases.h"
#include "seccomp/shared_high.h"

extern "C" char __executable_start, etext;
// xstate_x86_64.S
extern "C" ocrun::u32 oc_xstate_save(ocrun::u8* area, ocrun::u8** high);
extern "C" ocrun::u32 oc_xstate_plain, oc_xstate_masks, oc_xstate_keys, oc_xstate_high;

namespace ocrun {

namespace {

constexpr int kSysSeccomp = 1;  // SYS_SECCOMP of asm-generic/siginfo.h, missing in glibc's headers
// Magic of the extended frame and where the kernel puts its description (arch/x86/include/uapi/asm/sigcontext.h).
constexpr u32 kXstateMagic1 = 0x46505853;
constexpr size_t kSwReservedOffset = 464;
constexpr size_t kLegacyBytes = 512;
constexpr u32 kDefaultMxcsr = 0x1f80;
constexpr u16 kDefaultFpuControl = 0x37f;

constexpr u32 kKeysComponent = 9;

size_t g_xsave_bytes, g_xsave_exact_bytes;
u64 g_xsave_features;
u32 g_initial_key_rights;  // the kernel's init_pkru, as this program was given it

struct KernelSigaction {
    void (*handler)(int, siginfo_t*, ucontext_t*);
    u64 flags;
    void (*restorer)();
    u64 mask;
};

struct SwReserved {
    u32 magic1, extended_size;
    u64 xfeatures;
    u32 xstate_size;
};

// Which components plain moves handle (xstate_x86_64.S): XGETBV(1) must tell what is in use, and the mask registers have 64 bits
// only with AVX-512BW.
void choose_plain_moves(CpuFacts* facts) {
    constexpr u32 kSse = 2, kMasks = 5, kHigh = 7, kAvx512 = 0xe0;
    constexpr u32 kLeaf7Avx512F = 1u << 16, kLeaf7Avx512Bw = 1u << 30, kXgetbv1 = 1u << 2;
    u32 a, b, c, d;
    __cpuid_count(0xd, 1, a, b, c, d);
    if (!(a & kXgetbv1)) return;
    facts->plain = kSse;
    __cpuid_count(7, 0, a, b, c, d);
    constexpr u32 kLeaf7Ospke = 1u << 4;
    if ((c & kLeaf7Ospke) && (g_xsave_features >> kKeysComponent & 1)) {
        u32 at = 0;
        __cpuid_count(0xd, kKeysComponent, a, at, c, d);
        facts->keys = at;
        facts->plain |= 1u << kKeysComponent;
    }
    constexpr u32 kWanted = kLeaf7Avx512F | kLeaf7Avx512Bw;
    if ((b & kWanted) != kWanted || (g_xsave_features & kAvx512) != kAvx512) return;
    __cpuid_count(0xd, kMasks, a, facts->masks, c, d);
    facts->plain |= 1u << kMasks | 1u << kHigh;
    constexpr u32 kAuthenticAmd = 0x68747541;  // ebx: "Auth"
    u32 vendor, size, at;
    __cpuid(0, a, vendor, c, d);
    __cpuid_count(0xd, kHigh, size, at, c, d);
    if (vendor == kAuthenticAmd) facts->high = at;
}

// Families whose kernels return by "Safe RET" (arch/x86/kernel/cpu/common.c, cpu_vuln_blacklist: SRSO): Zen 1 to 4.
bool returns_are_spoilt() {
    constexpr u32 kAuthenticAmd = 0x68747541, kHygonGenuine = 0x6f677948;  // ebx
    constexpr u32 kZen1 = 0x17, kZen1Hygon = 0x18, kZen4 = 0x19;
    u32 a, vendor, b, c, d;
    __cpuid(0, a, vendor, c, d);
    if (vendor != kAuthenticAmd && vendor != kHygonGenuine) return false;
    __cpuid(1, a, b, c, d);
    u32 family = (a >> 8 & 15) + (a >> 20 & 255);
    return family == kZen1 || family == kZen1Hygon || family == kZen4;
}

CpuFacts g_facts;

u32 read_key_rights() {
    u32 rights, high;
    asm volatile("rdpkru" : "=a"(rights), "=d"(high) : "c"(0));
    return rights;
}

void write_key_rights(u32 rights) { asm volatile("wrpkru" : : "a"(rights), "c"(0), "d"(0) : "memory"); }

// A clear bit: initial, which is not what the kernel gives to new programs.
u32 key_rights_in(const GuestContext* c) {
    return *(const u64*)(c->xsave + kLegacyBytes) >> kKeysComponent & 1 ? *(const u32*)(c->xsave + g_facts.keys) : 0;
}

void note_key_rights(const GuestContext* c) {
    if (g_facts.keys && key_rights_in(c) != g_initial_key_rights && !g_key_rights_used) g_key_rights_used = true;
}

void set_key_rights(GuestContext* c, u32 rights) {
    *(u64*)(c->xsave + g_facts.keys) = rights;
    *(u64*)(c->xsave + kLegacyBytes) |= 1u << kKeysComponent;
}

// The kernel's frames, and XSAVE once it was loaded from one, show x87 as in use in programs that never used it. Where all of it is
// initial it may as well not be, and plain moves do (xstate_x86_64.S).
void drop_initial_x87(u8* area) {
    u64* words = (u64*)area;
    if (*(u16*)area != kDefaultFpuControl || (words[0] >> 16) | words[1] | words[2]) return;
    constexpr int kFirst = 4, kEnd = 20;
    u64 any = 0;
    for (int i = kFirst; i < kEnd; i++) any |= words[i];
    if (!any) *(u64*)(area + kLegacyBytes) &= ~1ul;
}

}  // namespace

extern "C" void oc_sigreturn();
asm(R"(
.pushsection .text
.globl oc_sigreturn
oc_sigreturn:
    mov $15, %eax
    syscall
.popsection
)");

extern "C" [[noreturn]] void oc_leave(GuestContext* c, void (*entry)(GuestContext*));

bool g_key_rights_used;

void load_key_rights(const GuestContext* c) {
    if (!g_facts.keys) return;
    u32 rights = key_rights_in(c);
    if (rights != read_key_rights()) write_key_rights(rights);
}

void open_all_keys() {
    if (g_facts.keys) write_key_rights(0);
}

size_t xsave_bytes() { return g_xsave_bytes; }
size_t xsave_exact_bytes() { return g_xsave_exact_bytes; }
u64 xsave_features() { return g_xsave_features; }

bool in_runtime(u64 rip) { return rip - (u64)&__executable_start < (u64)(&etext - &__executable_start); }

void save_context(GuestContext* c, const ucontext_t* uc) {
    memcpy(&c->regs, uc->uc_mcontext.gregs, kRegsBytes);
    save_xstate(c, uc);
}

void save_xstate(GuestContext* c, const ucontext_t* uc) {
    c->xstate_live = false;
    const u8* fp = (const u8*)uc->uc_mcontext.fpregs;
    const SwReserved* sw = (const SwReserved*)(fp + kSwReservedOffset);
    size_t n = sw->magic1 == kXstateMagic1 ? sw->xstate_size : kLegacyBytes;
    if (n > g_xsave_bytes) n = g_xsave_bytes;
    memcpy(c->xsave, fp, n);
    if (n == kLegacyBytes) {
        memset(c->xsave + kLegacyBytes, 0, 64);
        *(u64*)(c->xsave + kLegacyBytes) = 3;  // x87 and SSE are in the area
    } else {
        memset(c->xsave + kLegacyBytes + 16, 0, 48);  // XRSTOR insists on zero reserved header bytes
    }
    xstate_written(c);
    drop_initial_x87(c->xsave);
    note_key_rights(c);
}

void save_live_xstate(GuestContext* c) {
    u8* block = c->high;
    u32 in_use = oc_xstate_save(c->xsave, &c->high);
    if (block && !c->high) high_release(block);
    if (in_use & 1) drop_initial_x87(c->xsave);
    note_key_rights(c);
    trap_thread()->in_use = in_use;
    c->xstate_live = false;
}

void leave_handler(GuestContext* c, void (*entry)(GuestContext*)) {
    if (g_key_rights_used && !c->xstate_live) load_key_rights(c);
    oc_leave(c, entry);
}

void copy_xstate(GuestContext* to, const GuestContext* from) {
    to->high = from->high;
    if (from->xstate_live) {
        *(u16*)to->xsave = kDefaultFpuControl;  // what a signal frame shows while x87 is not in use
        oc_xstate_save(to->xsave, &to->high);
    } else {
        memcpy(to->xsave, from->xsave, g_xsave_bytes);
    }
    to->xstate_live = false;
    high_keep(to->high);
}

void reset_xstate(GuestContext* c) {
    c->xstate_live = false;
    memset(c->xsave, 0, g_xsave_bytes);
    *(u16*)c->xsave = kDefaultFpuControl;
    *(u32*)(c->xsave + 24) = kDefaultMxcsr;
    *(u64*)(c->xsave + kLegacyBytes) = 2;  // SSE is there, as zeros; what has a clear bit is initial
    if (g_facts.keys) set_key_rights(c, g_initial_key_rights);
}

void set_control_words(GuestContext* c, u32 mxcsr, u16 x87_control) {
    *(u32*)(c->xsave + 24) = mxcsr;
    *(u16*)c->xsave = x87_control;
    if (x87_control != kDefaultFpuControl) *(u64*)(c->xsave + kLegacyBytes) |= 1;
}

void keep_key_rights(GuestContext* c) {
    if (g_facts.keys) set_key_rights(c, read_key_rights());
}

extern "C" void oc_on_sigsys(int sig, siginfo_t* info, ucontext_t* uc) {
    u64 rip = (u64)uc->uc_mcontext.gregs[REG_RIP];
    if (info->si_code != kSysSeccomp || in_runtime(rip)) {
        if (info->si_code == kSysSeccomp) {
            TextBuffer<128> text;
            text.add("internal error: the runtime's own system call ").dec(info->si_syscall).add(" trapped at ").hex(rip);
            die(125, text.c_str());
        }
        oc_on_host_signal(sig, info, uc);
        return;
    }
    TrapThread* thread = trap_thread_of_stack(__builtin_frame_address(0));
    GuestContext* c = thread->current;
    u64 gs = read_gs_base();
    if (__builtin_expect(gs != (u64)thread, 0)) {
        c->gs_base = gs;
        write_gs_base((u64)thread);
    }
    c->trap_nr = (u32)info->si_syscall;
    c->trap_arch = info->si_arch;
    save_context(c, uc);
    leave_handler(c, oc_enter_syscall);
}

const CpuFacts& cpu_facts() { return g_facts; }

long trap_init(const CpuFacts* known) {
    // The size counts what XCR0 has, AMX tiles included, which the kernel leaves out of the frames of programs that never asked
    // for them: frames built here may be larger than the kernel's there, which no program minds.
    if (known) {
        g_facts = *known;
    } else {
        u32 a, c, d;
        if (!__get_cpuid_count(0xd, 0, &a, &g_facts.xsave_bytes, &c, &d)) return -ENOSYS;
    }
    if (g_facts.xsave_bytes < kLegacyBytes + 64) return -ENOSYS;
    g_xsave_exact_bytes = g_facts.xsave_bytes;
    g_xsave_bytes = (g_xsave_exact_bytes + 63) & ~63ul;
    u32 low, high;
    asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    g_xsave_features = u64(high) << 32 | low;
    if (!known) {
        choose_plain_moves(&g_facts);
        g_facts.spoilt_returns = returns_are_spoilt();
        g_facts.even_ticks = kernel_trusts_ticks();
    }
    oc_returns_spoilt = g_facts.spoilt_returns;
    oc_xstate_plain = g_facts.plain;
    oc_xstate_masks = g_facts.masks;
    oc_xstate_high = g_facts.high;
    oc_xstate_keys = g_facts.keys;
    if (g_facts.keys) g_initial_key_rights = read_key_rights();
    return 0;
}

long trap_install_sigsys() {
    constexpr u64 kSaRestorer = 0x04000000;
    KernelSigaction act{oc_on_sigsys, SA_SIGINFO | SA_NODEFER | SA_ONSTACK | kSaRestorer, oc_sigreturn, 0};
    return sys(__NR_rt_sigaction, SIGSYS, &act, nullptr, 8);
}

long trap_thread_attach(TrapThread* thread) {
    constexpr size_t kAltStackBytes = 64 * 1024;
    thread->self = thread;
    thread->in_use = kNotKnown;
    stack_t ss{};
    ss.ss_sp = (char*)thread + kThreadBlockBytes - kAltStackBytes;
    ss.ss_size = kAltStackBytes;
    long r = sys(__NR_sigaltstack, &ss, nullptr);
    if (is_error(r)) return r;
    write_gs_base((u64)thread);
    return 0;
}

}  // namespace ocrun
