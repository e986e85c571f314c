// coroutine.cc - the slot pool and the registry (see coroutine.h)
#include "runtime/context/coroutine.h"

#include <asm/errno.h>
#include <sys/mman.h>

#include <new>
#include <utility>

#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/base/text.h"

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
OC_APART u8* g_stacks[kMaxChunks];       // those of the chunk's slots, of g_stack_bytes each with its guard
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
    if (g_pool.chunk_count == kMaxChunks) return false;
    if (g_pool.chunk_count < g_mapped) {
        g_pool.chunk_count++;
        return true;
    }
    u8* chunk = g_mapped < kSmallChunks ? nullptr : from_slab();
    size_t bytes = stacks_bytes() + (chunk ? 0 : chunk_bytes());
    long r = sys(__NR_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(r)) {
        if (chunk) g_slab_left += chunk_bytes();
        return false;
    }
    sys(__NR_madvise, r, bytes, MADV_NOHUGEPAGE);
    // Slots stay untouched, and stacks without their guards, until used: free_next lives in the slot, so none is linked and they
    // follow by `fresh` count.
    g_stacks[g_mapped] = (u8*)r;
    g_chunk_table[g_mapped] = chunk ? chunk : (u8*)r + stacks_bytes();
    g_mapped++;
    g_pool.chunk_count++;
    return true;
}

}  // namespace

void coroutine_pool_init(u64 runtime_stack_bytes) {
    g_stack_bytes = page_up(runtime_stack_bytes) + kPageBytes;
    g_pool.slot_bytes = ((sizeof(Coroutine) + 63) & ~63ul) + xsave_bytes();
    new (g_registry_storage) Registry();
}

Coroutine* coroutine_alloc() {
    Coroutine* c;
    u64 sequence = 0, stack;
    {
        Locked held(g_pool_lock);
        c = g_free;
        if (c) {
            g_free = c->free_next;
            sequence = c->wait_sequence;
            stack = c->runtime_stack;
        } else {
            // Zeros, and not to be read before they are written: the page of zeros mapped in between costs a second fault, and the
            // other workers a flush of their TLBs.
            if (g_pool.fresh == kSlotsPerChunk) {
                if (!grow()) return nullptr;
                g_pool.fresh = 0;
            }
            u64 slot = g_pool.fresh++;
            u8* bottom = g_stacks[g_pool.chunk_count - 1] + slot * g_stack_bytes;
            guard(bottom);
            stack = u64(bottom) + g_stack_bytes;
            c = (Coroutine*)(g_pool.chunks[g_pool.chunk_count - 1] + slot * g_pool.slot_bytes);
        }
    }
    // The wait sequence survives reuse, so a wake meant for the previous tenant cannot hit this one.
    memset((void*)c, 0, sizeof *c);
    c->wait_sequence = sequence + 1;
    c->wait_word.store(c->wait_sequence << 8 | u8(WakeReason::woken), std::memory_order_relaxed);
    c->xsave = (u8*)c + g_pool.slot_bytes - xsave_bytes();
    c->runtime_stack = stack;
    c->call_nr = kNoCall;
    return c;
}

void coroutine_free(Coroutine* c) {
    Locked held(g_pool_lock);
    c->free_next = g_free;
    g_free = c;
}

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
    std::swap(g_stacks[0], g_stacks[own]);
    for (size_t i = 1; i < g_pool.chunk_count; i++) {
        sys(__NR_madvise, g_pool.chunks[i], chunk_bytes(), MADV_DONTNEED);
        sys(__NR_madvise, g_stacks[i], stacks_bytes(), MADV_DONTNEED);
    }
    g_pool.chunk_count = 1;
    g_pool.fresh = used;
    for (size_t k = 0; k < used; k++) {
        Coroutine* c = (Coroutine*)(g_pool.chunks[0] + k * g_pool.slot_bytes);
        if (c == survivor) continue;
        c->registered = false;
        c->free_next = g_free;
        g_free = c;
    }
    survivor->registered = false;
    registry_add(survivor);
}

extern "C" void oc_finish_switch(boost::context::detail::transfer_t from);

namespace {

struct StartRecord {
    void (*entry)(Coroutine*);
    Coroutine* c;
};

void trampoline(boost::context::detail::transfer_t from) {
    oc_finish_switch(from);
    Coroutine* c = (Coroutine*)trap_thread()->current;
    StartRecord* record = (StartRecord*)(c->runtime_stack - sizeof(StartRecord));
    record->entry(c);
    check_failed("a coroutine's entry returned", __FILE__, __LINE__);
}

}  // namespace

void coroutine_prepare(Coroutine* c, void (*entry)(Coroutine*)) {
    StartRecord* record = (StartRecord*)(c->runtime_stack - sizeof(StartRecord));
    record->entry = entry;
    record->c = c;
    void* top = (void*)(c->runtime_stack - 64);
    c->fiber = boost::context::detail::make_fcontext(top, g_stack_bytes - kPageBytes - 64, trampoline);
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
