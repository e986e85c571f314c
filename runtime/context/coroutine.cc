// coroutine.cc - the slot pool and the registry (see coroutine.h)
#include "runtime/context/coroutine.h"

#include <asm/errno.h>
#include <sys/mman.h>

#include <new>
#include <utility>

#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/base/text.h"
#include "seccomp/shared_high.h"

namespace ocrun {

Lock g_registry_lock;
alignas(Registry) static u8 g_registry_storage[sizeof(Registry)];
Registry& registry() { return *reinterpret_cast<Registry*>(g_registry_storage); }

CoroutinePool g_pool = {.fresh = kSlotsPerChunk};

namespace {

constexpr size_t kMaxChunks = 1u << 16;  // 4 Mi coroutines
// From so many chunks on coroutines lie in large pages: fewer faults at their creation, and with many of them in turn each switch would
// walk the page tables for theirs. In smaller processes it would be a large part of their memory.
constexpr size_t kSmallChunks = 16;
constexpr size_t kSlabBytes = 16u << 20, kLargePageBytes = 2u << 20;

Lock g_pool_lock;
Coroutine* g_free;
OC_APART u8* g_chunk_table[kMaxChunks];  // .bss: what is not used costs nothing, and no mapping of its own

// Runtime stacks: chunks of kSlotsPerChunk, each of g_stack_bytes with its guard below. Those that were never used touch no memory; those
// that were are linked by a word of their own.
constexpr size_t kLinkAt = 64;  // below the top
Lock g_stack_lock;
constexpr size_t kMaxStackChunks = kMaxChunks + 16;
OC_APART u8* g_stacks[kMaxStackChunks];  // as many as chunks of coroutines, and those reserved
size_t g_stack_chunks;
size_t g_stacks_fresh;    // so many were used once, in order
u64 g_free_stack;
u64 g_stacks_of_parent;   // in the child of a fork: those of the first chunk, a bit each, that nobody here has used yet
size_t g_stack_bytes;
size_t g_mapped;  // chunks there are; in the child of a fork more than chunk_count
u8* g_slab;
size_t g_slab_left;

size_t chunk_bytes() { return g_pool.slot_bytes * kSlotsPerChunk; }
size_t stacks_bytes() { return g_stack_bytes * kSlotsPerChunk; }

void guard(u8* page) {
    long r = sys(__NR_madvise, page, kPageBytes, MADV_GUARD_INSTALL);
    if (is_error(r)) sys(__NR_mprotect, page, kPageBytes, PROT_NONE);
}

// Room for a chunk's coroutines in large pages, or nullptr.
u8* from_slab() {
    if (g_slab_left < chunk_bytes()) {
        void* slab = pages_alloc_aligned(kSlabBytes, kLargePageBytes);
        if (!slab) return nullptr;
        sys(__NR_madvise, slab, kSlabBytes, MADV_HUGEPAGE);
        g_slab = (u8*)slab;
        g_slab_left = kSlabBytes;
    }
    u8* chunk = g_slab + kSlabBytes - g_slab_left;
    g_slab_left -= chunk_bytes();
    return chunk;
}

// Caller holds g_pool_lock.
bool grow() {
    g_pool.chunks = g_chunk_table;
    if (g_pool.chunk_count == kMaxChunks || g_stack_chunks + 2 > kMaxStackChunks) return false;
    if (g_pool.chunk_count < g_mapped) {
        g_pool.chunk_count++;
        return true;
    }
    u8* chunk = g_mapped < kSmallChunks ? nullptr : from_slab();
    // The first brings a chunk of stacks more, for the workers (runtime_stacks_reserve).
    size_t stacks = g_mapped ? 1 : 2, bytes = stacks * stacks_bytes() + (chunk ? 0 : chunk_bytes());
    long r = sys(__NR_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(r)) {
        if (chunk) g_slab_left += chunk_bytes();
        return false;
    }
    sys(__NR_madvise, r, bytes, MADV_NOHUGEPAGE);
    // Slots stay untouched, and stacks without their guards, until used: free_next lives in the slot, so none is linked and they
    // follow by `fresh` count.
    {
        Locked held(g_stack_lock);
        for (size_t i = 0; i < stacks; i++) g_stacks[g_stack_chunks++] = (u8*)r + i * stacks_bytes();
    }
    g_chunk_table[g_mapped] = chunk ? chunk : (u8*)r + stacks * stacks_bytes();
    g_mapped++;
    g_pool.chunk_count++;
    return true;
}

}  // namespace

// What a wake and a switch touch lies in as few lines as it can (coroutine.h).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(offsetof(Coroutine, parked_since_tsc) / 64 == offsetof(Coroutine, fiber) / 64);
static_assert(offsetof(Coroutine, descriptor) % 64 == 0 && sizeof(FdWaiter) <= 64 && sizeof(Waiter) <= 64);
#pragma GCC diagnostic pop

void coroutine_pool_init(u64 runtime_stack_bytes) {
    g_stack_bytes = page_up(runtime_stack_bytes) + kPageBytes;
    // An odd number of lines from one to the next: the same field of many coroutines may lie in any set of a cache.
    constexpr u64 kLine = 64;
    g_pool.slot_bytes = (((sizeof(Coroutine) + xsave_bytes() + kLine - 1) / kLine) | 1) * kLine;
    new (g_registry_storage) Registry();
}

Coroutine* coroutine_alloc() {
    Coroutine* c;
    u64 sequence = 0;
    {
        Locked held(g_pool_lock);
        c = g_free;
        if (c) {
            g_free = c->free_next;
            sequence = c->wait_sequence;
        } else {
            // Zeros, and not to be read before they are written: the page of zeros mapped in between costs a second fault, and the
            // other workers a flush of their TLBs.
            if (g_pool.fresh == kSlotsPerChunk) {
                if (!grow()) return nullptr;
                g_pool.fresh = 0;
            }
            u64 slot = g_pool.fresh++;
            c = (Coroutine*)(g_pool.chunks[g_pool.chunk_count - 1] + slot * g_pool.slot_bytes);
        }
    }
    // The wait sequence survives reuse, so a wake meant for the previous tenant cannot hit this one.
    memset((void*)c, 0, sizeof *c);
    c->wait_sequence = sequence + 1;
    c->wait_word.store(c->wait_sequence << 8 | u8(WakeReason::woken), std::memory_order_relaxed);
    c->xsave = (u8*)c + g_pool.slot_bytes - xsave_bytes();
    c->call_nr = kNoCall;
    return c;
}

void coroutine_free(Coroutine* c) {
    if (c->runtime_stack) runtime_stack_give(c->runtime_stack);
    c->runtime_stack = 0;
    high_release(c->high);
    c->high = nullptr;
    Locked held(g_pool_lock);
    c->free_next = g_free;
    g_free = c;
}

u64 runtime_stack_take() {
    u8* bottom;
    {
        Locked held(g_stack_lock);
        if (u64 top = g_free_stack) {
            g_free_stack = *(u64*)(top - kLinkAt);
            return top;
        }
        if (g_stacks_of_parent) {
            u64 slot = u64(__builtin_ctzl(g_stacks_of_parent));
            g_stacks_of_parent &= g_stacks_of_parent - 1;
            return u64(g_stacks[0]) + (slot + 1) * g_stack_bytes;
        }
        OC_CHECK(g_stacks_fresh < g_stack_chunks * kSlotsPerChunk);
        bottom = g_stacks[g_stacks_fresh / kSlotsPerChunk] + g_stacks_fresh % kSlotsPerChunk * g_stack_bytes;
        g_stacks_fresh++;
    }
    guard(bottom);
    return u64(bottom) + g_stack_bytes;
}

void runtime_stack_give(u64 top) {
    Locked held(g_stack_lock);
    *(u64*)(top - kLinkAt) = g_free_stack;
    g_free_stack = top;
}

bool runtime_stacks_reserve(u32 n) {
    Locked held(g_pool_lock);
    if (n <= (g_stack_chunks - g_mapped) * kSlotsPerChunk) return true;
    if (g_stack_chunks == kMaxStackChunks) return false;
    long r = sys(__NR_mmap, nullptr, stacks_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(r)) return false;
    sys(__NR_madvise, r, stacks_bytes(), MADV_NOHUGEPAGE);
    Locked stacks(g_stack_lock);
    g_stacks[g_stack_chunks++] = (u8*)r;
    return true;
}

namespace {

// In the child of a fork: all stacks but `mine` are free again, without a write to any.
void stacks_after_fork(u64 mine) {
    g_stack_lock.reset();
    size_t own = 0, used_chunks = (g_stacks_fresh + kSlotsPerChunk - 1) / kSlotsPerChunk;
    while (mine - 1 - (u64)g_stacks[own] >= stacks_bytes()) own++;
    size_t used = own + 1 == used_chunks ? g_stacks_fresh - own * kSlotsPerChunk : kSlotsPerChunk;
    std::swap(g_stacks[0], g_stacks[own]);
    for (size_t i = 1; i < used_chunks; i++) sys(__NR_madvise, g_stacks[i], stacks_bytes(), MADV_DONTNEED);
    u64 slot = (mine - 1 - (u64)g_stacks[0]) / g_stack_bytes;
    static_assert(kSlotsPerChunk == 64);
    g_stacks_of_parent = (used == 64 ? ~0ul : (1ul << used) - 1) & ~(1ul << slot);
    g_free_stack = 0;
    // What is left of the first chunk comes before the next ones; its guards are new.
    g_stacks_fresh = used;
}

}  // namespace

namespace {

// Ids -> coroutines, chained. Grows with the registry; a process of few threads uses the small one.
constexpr u32 kFirstTidBits = 5;
Coroutine* g_first_tids[1u << kFirstTidBits];
Coroutine** g_tids = g_first_tids;
u32 g_tid_bits = kFirstTidBits;

Coroutine** tid_bucket(u32 tid) { return &g_tids[tid * 0x9e3779b1u >> (32 - g_tid_bits)]; }

void tid_insert(Coroutine* c) {
    Coroutine** bucket = tid_bucket(c->tid);
    c->tid_next = *bucket;
    *bucket = c;
}

// Without memory the chains get longer, no more.
void tids_grow() {
    Coroutine** fresh = (Coroutine**)pages_alloc(sizeof(Coroutine*) << (g_tid_bits + 2));
    if (!fresh) return;
    Coroutine** old = g_tids;
    u32 old_bits = g_tid_bits;
    g_tids = fresh;
    g_tid_bits += 2;
    for (u32 i = 0; i < 1u << old_bits; i++)
        while (Coroutine* c = old[i]) {
            old[i] = c->tid_next;
            tid_insert(c);
        }
    if (old != g_first_tids) pages_free(old, sizeof(Coroutine*) << old_bits);
}

void tids_clear() {
    if (g_tids != g_first_tids) pages_free(g_tids, sizeof(Coroutine*) << g_tid_bits);
    g_tids = g_first_tids;
    g_tid_bits = kFirstTidBits;
    memset(g_first_tids, 0, sizeof g_first_tids);
}

}  // namespace

void coroutine_pool_after_fork(Coroutine* survivor) {
    g_pool_lock.reset();
    g_registry_lock.reset();
    new (g_registry_storage) Registry();
    tids_clear();
    g_free = nullptr;
    // Its own chunk becomes the first; the others are emptied, not walked, and serve when it is full: the child of a process
    // with very many threads must not write to every slot.
    size_t own = 0;
    while ((u64)survivor - (u64)g_pool.chunks[own] >= chunk_bytes()) own++;
    size_t used = own + 1 == g_pool.chunk_count ? g_pool.fresh : kSlotsPerChunk;
    std::swap(g_pool.chunks[0], g_pool.chunks[own]);
    for (size_t i = 1; i < g_pool.chunk_count; i++) sys(__NR_madvise, g_pool.chunks[i], chunk_bytes(), MADV_DONTNEED);
    stacks_after_fork(survivor->runtime_stack);
    g_pool.chunk_count = 1;
    g_pool.fresh = used;
    for (size_t k = 0; k < used; k++) {
        Coroutine* c = (Coroutine*)(g_pool.chunks[0] + k * g_pool.slot_bytes);
        if (c == survivor) continue;
        c->registered = false;
        c->free_next = g_free;
        g_free = c;
    }
    high_after_fork(survivor);
    survivor->registered = false;
    registry_add(survivor);
}

extern "C" void oc_finish_switch(boost::context::detail::transfer_t from);

namespace {

void trampoline(boost::context::detail::transfer_t from) {
    oc_finish_switch(from);
    oc_go_on((Coroutine*)trap_thread()->current);
}

}  // namespace

boost::context::detail::fcontext_t fiber_on(u64 top) {
    return boost::context::detail::make_fcontext((void*)top, g_stack_bytes - kPageBytes, trampoline);
}

void registry_add(Coroutine* c) {
    Locked held(g_registry_lock);
    if (c->registered) return;
    c->registered = true;
    registry().push_back(*c);
    if (registry().size() > 1u << g_tid_bits) tids_grow();
    tid_insert(c);
}

void registry_remove(Coroutine* c) {
    Locked held(g_registry_lock);
    if (!c->registered) return;
    c->registered = false;
    registry().erase(Registry::s_iterator_to(*c));
    for (Coroutine** at = tid_bucket(c->tid); *at; at = &(*at)->tid_next)
        if (*at == c) {
            *at = c->tid_next;
            break;
        }
}

Coroutine* registry_find(u32 tid) {
    Coroutine* c = *tid_bucket(tid);
    while (c && c->tid != tid) c = c->tid_next;
    return c;
}

}  // namespace ocrun
