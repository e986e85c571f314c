// rewrite.cc - counting traps, choosing sites, writing code (see rewrite.h)
#include "seccomp/rewrite/rewrite.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/mman.h>

#include <atomic>

#include "runtime/base/lock.h"
#include "runtime/base/mappings.h"
#include "runtime/base/memory.h"
#include "seccomp/rewrite/plan.h"
#include "seccomp/syscall_table.h"
#include "seccomp/trap.h"

namespace ocrun {

namespace {

constexpr u32 kHotTraps = 16;

// A small table of sites that trap: what is not hot gives way.
enum class State : u8 { counting, done, refused };
struct Site {
    std::atomic<u64> address;
    std::atomic<u16> traps;
    State state;
};
constexpr u32 kSites = 256, kProbes = 8;
OC_APART Site g_sites[kSites];

// Stubs lie in arenas near the code they serve; the table beside says which addresses they stand for.
struct StubInfo {
    u64 patch_at, site;
    u8 count;
    u8 copies[kMaxMoved + 1];
    u8 originals[kMaxMoved];
    u8 pun_mask;
};
constexpr u32 kArenaBytes = 64 * 1024, kArenaStubs = kArenaBytes / kStubBytes;
struct Arena {
    u64 start;
    u32 bytes;
    std::atomic<u32> used;  // stubs; those below it are complete
    StubInfo* info;
};
constexpr u32 kArenas = 24;
Arena g_arenas[kArenas];
std::atomic<u32> g_arena_count{0};
// Windows exist: SIGILL may be ours.
std::atomic<bool> g_windows{false};

RewriteHooks g_hooks;
bool g_enabled;
Lock g_lock;  // arenas and code; held by the one that writes
RewriteCounts g_counts;

// What the stubs jump through.
void* g_entry = oc_stub_entry;

}  // namespace

// A stub's way back to the trap: the site's own `syscall` instruction.
extern "C" void oc_stub_closed();
asm(R"(
.pushsection .text
.globl oc_stub_closed
oc_stub_closed:
    lea -2(%rcx), %rcx
    jmp *%rcx
.popsection
)");

namespace {

Site* find_site(u64 address) {
    u32 at = u32((address * 0x9e3779b97f4a7c15ul) >> 56);
    Site* give = nullptr;
    for (u32 i = 0; i < kProbes; i++) {
        Site& s = g_sites[(at + i) % kSites];
        u64 there = s.address.load(std::memory_order_relaxed);
        if (there == address) return &s;
        if (!there) {
            give = &s;
            break;
        }
        if (!give || s.traps.load(std::memory_order_relaxed) < give->traps.load(std::memory_order_relaxed)) give = &s;
    }
    // A race for the same place loses a count at worst.
    give->traps.store(0, std::memory_order_relaxed);
    give->state = State::counting;
    give->address.store(address, std::memory_order_relaxed);
    return give;
}

// Bytes into code or stubs, past their protection. `memory` is /proc/self/mem or < 0.
bool write_code(long memory, u64 address, const u8* bytes, u32 n) {
    if (memory >= 0) return sys(__NR_pwrite64, memory, bytes, n, address) == long(n);
    u64 start = page_down(address), end = page_up(address + n);
    if (is_error(sys(__NR_mprotect, start, end - start, PROT_READ | PROT_WRITE | PROT_EXEC))) return false;
    bool done = copy_to_guest((void*)address, bytes, n) == 0;
    sys(__NR_mprotect, start, end - start, PROT_READ | PROT_EXEC);
    return done;
}

bool reachable(u64 from, u64 start, u64 bytes) {
    constexpr u64 kReach = (1ul << 31) - (1ul << 20);
    u64 end = start + bytes;
    u64 low = start < from ? start : from, high = end > from ? end : from;
    return high - low < kReach;
}

u64 map_at(u64 address, u64 bytes) {
    long r = sys(__NR_mmap, address, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    // Kernels before 4.17 take the address as a hint.
    if (!is_error(r) && u64(r) != address) {
        sys(__NR_munmap, r, bytes);
        return 0;
    }
    return is_error(r) ? 0 : u64(r);
}

Arena* add_arena(u64 start, u32 bytes) {
    u32 n = g_arena_count.load(std::memory_order_relaxed);
    Arena& a = g_arenas[n];
    a.info = (StubInfo*)pages_alloc(sizeof(StubInfo) * (bytes / kStubBytes));
    if (!a.info) {
        sys(__NR_munmap, start, bytes);
        return nullptr;
    }
    a.start = start;
    a.bytes = bytes;
    a.used.store(0, std::memory_order_relaxed);
    g_arena_count.store(n + 1, std::memory_order_release);
    return &a;
}

// An arena with room from which the jump at `from` can be reached. New ones lie below the code, far from where heap, stack
// and the next mappings grow; for programs in the low 2 GiB just below the runtime's window.
Arena* near_arena(u64 from) {
    u32 n = g_arena_count.load(std::memory_order_relaxed);
    for (u32 i = 0; i < n; i++) {
        Arena& a = g_arenas[i];
        if (a.bytes == kArenaBytes && a.used.load(std::memory_order_relaxed) < kArenaStubs && reachable(from, a.start, a.bytes)) return &a;
    }
    if (n == kArenas) return nullptr;
    constexpr u64 kStep = 64ul << 20, kAway = 512ul << 20;
    bool low = from < kWindowEnd;
    u64 start = low ? kWindowBegin - (1ul << 20) : (from - kAway) & ~(kStep - 1);
    for (int tries = 0; tries < 20; tries++, start -= kStep) {
        if (start < kStep || !reachable(from, start, kArenaBytes)) break;
        if (u64 at = map_at(start, kArenaBytes)) return add_arena(at, kArenaBytes);
    }
    return nullptr;
}

// A page for one stub whose distance has kTrapByte where the plan says. *address: the stub in it.
Arena* punned_arena(const SitePlan& plan, u64* address) {
    if (g_arena_count.load(std::memory_order_relaxed) == kArenas) return nullptr;
    u64 from = plan.patch_at + kJumpBytes;
    bool low_fixed = plan.pun_mask & 2, second_fixed = plan.pun_mask & 4, third_fixed = plan.pun_mask & 8, high_fixed = plan.pun_mask & 16;
    // The lower 16 bits first: a fixed byte must come out and the stub must not leave its page.
    for (u32 high = 1; high < 256; high++) {
        if (high_fixed && high != kTrapByte) continue;
        for (u32 third = 0x20; third < 0x100; third += 0x40) {
            u32 mid = third_fixed ? kTrapByte : third;
            for (u32 second = 0; second < 256; second += 0x10) {
                u32 s = second_fixed ? kTrapByte : second;
                u32 d = high << 24 | mid << 16 | s << 8 | (low_fixed ? kTrapByte : 0x40);
                u64 stub = from + u64(i64(i32(d)));
                if ((stub & (kPageBytes - 1)) > kPageBytes - kStubBytes || stub > (1ul << 47) - kPageBytes || stub < (1ul << 20)) {
                    if (second_fixed) break;
                    continue;
                }
                if (stub + kStubBytes > kWindowBegin && stub < kWindowEnd) break;
                if (u64 page = map_at(page_down(stub), kPageBytes)) {
                    *address = stub;
                    return add_arena(page, kPageBytes);
                }
                break;  // taken: a page further along will be, too
            }
            if (third_fixed) break;
        }
    }
    return nullptr;
}

}  // namespace

bool under_tracer() {
    char text[1024];
    long fd = sys(__NR_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return false;
    long n = sys(__NR_read, fd, text, sizeof text - 1);
    sys(__NR_close, fd);
    constexpr char kKey[] = "TracerPid:\t";
    for (long i = 0; i + long(sizeof kKey) < n; i++)
        if (memcmp(text + i, kKey, sizeof kKey - 1) == 0) return text[i + long(sizeof kKey) - 1] != '0';
    return false;
}

namespace {

// Is the site's jump in place already? Then it was reached by a branch past the jump: that stays on the trap.
bool already_done(u64 site) {
    for (u32 i = 0; i < g_arena_count.load(std::memory_order_relaxed); i++)
        for (u32 k = 0; k < g_arenas[i].used.load(std::memory_order_relaxed); k++) {
            const StubInfo& s = g_arenas[i].info[k];
            u8 jump[kJumpBytes];
            i32 d;
            if (s.site != site || copy_from_guest(jump, (void*)s.patch_at, kJumpBytes) || jump[0] != 0xe9) continue;
            memcpy(&d, jump + 1, 4);
            u64 target = s.patch_at + kJumpBytes + u64(i64(d));
            if (target - g_arenas[i].start < g_arenas[i].bytes) return true;
        }
    return false;
}

// The world stands still. True when the site is rewritten.
bool rewrite_stopped(u64 site, u32 number) {
    Mapping m;
    if (already_done(site) || mapping_at(site, &m) || !m.executable || !m.readable || m.writable || m.shared || !m.of_file) return false;
    u8 code[kWindowBefore + 2];
    u32 before = site - m.start < kWindowBefore ? u32(site - m.start) : kWindowBefore;
    if (site + 2 > m.end || copy_from_guest(code, (void*)(site - before), before + 2)) return false;
    SitePlan plan = plan_site(code, before, site, number);
    if (plan.tactic == Tactic::none) return false;

    u64 address = 0;
    Arena* arena = plan.tactic == Tactic::window && plan.pun_mask ? punned_arena(plan, &address) : near_arena(plan.patch_at);
    if (!arena) return false;
    u32 slot = arena->used.load(std::memory_order_relaxed);
    if (!address) address = arena->start + u64(slot) * kStubBytes;
    const u8* moved = code + (plan.patch_at - (site - before));
    u8 bytes[kStubBytes], jump[kJumpBytes];
    Stub stub = emit_stub(plan, moved, address, u32((u64)&g_entry), bytes);
    if (!stub.bytes || !emit_jump(plan, address, jump)) return false;

    StubInfo& info = arena->info[slot];
    info.patch_at = plan.patch_at;
    info.site = site;
    info.count = plan.count;
    info.pun_mask = plan.pun_mask;
    memcpy(info.copies, stub.copies, sizeof info.copies);
    for (u32 i = 0; i < plan.count; i++) info.originals[i] = plan.moved[i].offset;

    long memory = sys(__NR_openat, AT_FDCWD, "/proc/self/mem", O_RDWR | O_CLOEXEC);
    bool written = write_code(memory, address, bytes, stub.bytes);
    if (written) {
        arena->used.store(slot + 1, std::memory_order_release);
        if (plan.pun_mask) {
            g_windows.store(true, std::memory_order_release);
            g_hooks.want_sigill();
            g_counts.windows++;
        }
        written = write_code(memory, plan.patch_at, jump, kJumpBytes);
    }
    if (memory >= 0) sys(__NR_close, memory);
    // Every other thread stands in the kernel or in the runtime; none may go on with what its core fetched before.
    if (is_error(sys(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0))) {
        sys(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
        sys(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    }
    return written;
}

// Calls whose site gains nothing, or whose context is not the ordinary one.
bool worth_it(u32 number) {
    switch (number) {
        case __NR_vfork:
        case __NR_fork:
        case __NR_execve:
        case __NR_execveat:
        case __NR_exit_group:
        case __NR_rt_sigreturn:
            return false;
    }
    return number < kSyscallLimit;
}

}  // namespace

void rewrite_init(const RewriteHooks& hooks, bool enabled) {
    g_hooks = hooks;
    g_enabled = enabled;
}

void rewrite_expect_threads() {
    if (g_enabled) sys(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

void rewrite_saw_trap(u64 site, u32 number) {
    if (!g_enabled) return;
    Site* s = find_site(site);
    u16 traps = u16(s->traps.load(std::memory_order_relaxed) + 1);
    s->traps.store(traps, std::memory_order_relaxed);
    // Once the counter has gone round, look again: other code may have come to this address.
    if (traps == 0) s->state = State::counting;
    if (traps % kHotTraps != 0 || s->state != State::counting || !worth_it(number)) return;
    if (!g_lock.try_lock()) return;
    if (!g_hooks.stop()) {
        g_lock.unlock();
        return;
    }
    bool done = !under_tracer() && rewrite_stopped(site, number);
    s->state = done ? State::done : State::refused;
    (done ? g_counts.rewritten : g_counts.refused)++;
    g_hooks.go();
    g_lock.unlock();
}

void rewrite_disable() {
    g_enabled = false;
    __atomic_store_n(&g_entry, (void*)oc_stub_closed, __ATOMIC_SEQ_CST);
}

u64 rewrite_guest_rip(u64 rip) {
    u32 n = g_arena_count.load(std::memory_order_acquire);
    for (u32 i = 0; i < n; i++) {
        const Arena& a = g_arenas[i];
        if (rip - a.start >= a.bytes) continue;
        // A stub of its own page may begin anywhere in it; the others follow each other.
        u64 used = a.used.load(std::memory_order_acquire);
        u64 slot = a.bytes == kArenaBytes ? (rip - a.start) / kStubBytes : 0;
        if (slot >= used) return rip;
        const StubInfo& s = a.info[slot];
        u64 base = a.start + slot * kStubBytes;
        if (a.bytes != kArenaBytes) {
            i32 d;
            if (copy_from_guest(&d, (void*)(s.patch_at + 1), 4)) return rip;
            base = s.patch_at + kJumpBytes + u64(i64(d));
        }
        u64 offset = rip - base;
        u64 guest = s.site;  // behind the copies: about to make the call
        for (u32 k = s.count; k-- > 0;)
            if (offset < s.copies[k + 1]) guest = s.patch_at + s.originals[k];
        return guest;
    }
    return rip;
}

u64 rewrite_punned_copy(u64 rip) {
    if (!g_windows.load(std::memory_order_acquire)) return 0;
    u32 n = g_arena_count.load(std::memory_order_acquire);
    for (u32 i = 0; i < n; i++) {
        const Arena& a = g_arenas[i];
        if (a.bytes == kArenaBytes || !a.used.load(std::memory_order_acquire)) continue;
        const StubInfo& s = a.info[0];
        for (u32 k = 1; k < s.count; k++) {
            if (s.patch_at + s.originals[k] != rip || s.originals[k] >= kJumpBytes) continue;
            i32 d;
            if (copy_from_guest(&d, (void*)(s.patch_at + 1), 4)) return 0;
            return s.patch_at + kJumpBytes + u64(i64(d)) + s.copies[k];
        }
    }
    return 0;
}

void rewrite_after_fork() { g_lock.reset(); }

RewriteCounts rewrite_counts() { return g_counts; }

}  // namespace ocrun
