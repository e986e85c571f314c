// shared_high.cc - see shared_high.h
#include "seccomp/shared_high.h"

#include "runtime/base/memory.h"

namespace ocrun {

namespace {

constexpr size_t kBlocks = 64, kBlockBytes = 1024, kHeaderAt = 512;
constexpr u64 kMasksInUse = 1u << 5, kHighInUse = 1u << 7;

OC_APART alignas(64) u8 g_blocks[kBlocks][kBlockBytes];
std::atomic<u32> g_pointed_to[kBlocks];
std::atomic<u32> g_claimed_last;

u64 in_use(const GuestContext* c) { return *(const u64*)(c->xsave + kHeaderAt); }
u8* own_area(const GuestContext* c) { return c->xsave + cpu_facts().high; }
std::atomic<u32>& count_of(const u8* block) { return g_pointed_to[size_t(block - g_blocks[0]) / kBlockBytes]; }

// Words: memcmp takes a byte at a time, which at every trap would be seen.
bool same(const u64* a, const u64* b) {
    u64 different = 0;
    for (size_t i = 0; i < kBlockBytes / sizeof *a && !different; i += 4)
        different = (a[i] ^ b[i]) | (a[i + 1] ^ b[i + 1]) | (a[i + 2] ^ b[i + 2]) | (a[i + 3] ^ b[i + 3]);
    return !different;
}

// Two will point to it.
u8* claim() {
    u32 last = g_claimed_last.load(std::memory_order_relaxed);
    for (u32 k = 1; k <= kBlocks; k++) {
        u32 i = (last + k) % kBlocks;
        u32 nobody = 0;
        if (g_pointed_to[i].load(std::memory_order_relaxed) || !g_pointed_to[i].compare_exchange_strong(nobody, 2)) continue;
        g_claimed_last.store(i, std::memory_order_relaxed);
        return g_blocks[i];
    }
    return nullptr;
}

}  // namespace

void high_share(GuestContext* to, GuestContext* from) {
    if (to->high) return;
    // Compared are they only where plain moves do, and where mask registers are in use anyway (xstate_x86_64.S).
    constexpr u64 kBoth = kMasksInUse | kHighInUse;
    if (!cpu_facts().high || (in_use(to) & kBoth) != kBoth || (in_use(to) & ~u64(cpu_facts().plain))) return;
    u8* block = claim();
    if (!block) return;
    memcpy(block, own_area(to), kBlockBytes);
    u8* before = from->high;
    to->high = from->high = block;
    high_release(before);
}

void high_keep(u8* block) {
    if (block) count_of(block).fetch_add(1, std::memory_order_relaxed);
}

void high_release(u8* block) {
    if (block) count_of(block).fetch_sub(1, std::memory_order_release);
}

void high_after_fork(const GuestContext* survivor) {
    for (std::atomic<u32>& count : g_pointed_to) count.store(0, std::memory_order_relaxed);
    high_keep(survivor->high);
}

void complete_xstate(GuestContext* c) {
    if (c->high && (in_use(c) & kHighInUse)) memcpy(own_area(c), c->high, kBlockBytes);
}

void xstate_written(GuestContext* c) {
    u8* block = c->high;
    if (!block || ((in_use(c) & kHighInUse) && same((const u64*)own_area(c), (const u64*)block))) return;
    // In this order: a vfork child may be killed in between.
    c->high = nullptr;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    high_release(block);
}

}  // namespace ocrun
