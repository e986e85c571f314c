// arena.cc - ranges of the arena and the calls on them (see arena.h)
#include "runtime/memory/arena.h"

#include <asm/errno.h>
#include <linux/personality.h>
#include <sys/mman.h>

#include <new>

#define BOOST_DISABLE_ASSERTS
#include <boost/intrusive/set.hpp>

#include "runtime/base/lock.h"
#include "runtime/base/memory.h"
#include "runtime/base/new_kernel.h"
#include "runtime/base/text.h"
#include "runtime/memory/trims.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

namespace bi = boost::intrusive;
using Hook = bi::set_member_hook<bi::link_mode<bi::normal_link>, bi::optimize_size<true>>;

enum class State : u8 {
    free,      // nobody's; nothing is mapped
    stale,     // nobody's, but still mapped: unmapping it would cost a mapping more than may be spent (see kMostHoles)
    promised,
    guarded,
    plain,
};

// Every address of the arena belongs to exactly one range; neighbours that are both nobody's are one.
struct Range {
    Hook by_address;
    Hook by_size;  // free and stale ones only
    u64 start, end;
    u64 guard, guard_end;
    u64 map_flags;  // promised: what the guest's mmap said
    State state;
    bool over;      // promised: a stale mapping is still there and to be replaced

    u64 bytes() const { return end - start; }
    bool used() const { return state > State::stale; }
};

struct Below {
    bool operator()(const Range& a, const Range& b) const { return a.start < b.start; }
    bool operator()(u64 a, const Range& b) const { return a < b.start; }
    bool operator()(const Range& a, u64 b) const { return a.start < b; }
};
struct Smaller {
    bool operator()(const Range& a, const Range& b) const {
        return a.bytes() != b.bytes() ? a.bytes() < b.bytes() : a.start < b.start;
    }
    bool operator()(const Range& a, u64 bytes) const { return a.bytes() < bytes; }
};
using Ranges = bi::set<Range, bi::member_hook<Range, Hook, &Range::by_address>, bi::compare<Below>, bi::constant_time_size<false>>;
using FreeRanges = bi::set<Range, bi::member_hook<Range, Hook, &Range::by_size>, bi::compare<Smaller>, bi::constant_time_size<false>>;

// A hole between two stacks splits their mapping. More holes than this are left mapped until they grow together, so that
// no munmap fails for want of mappings (glibc calls abort then) and the program keeps most of vm.max_map_count.
constexpr u32 kMostHoles = 16384;
// Stacks natively lie somewhere else in every process.
constexpr u64 kRandomBytes = 1ul << 42;

Lock g_lock;
bool g_made;
u32 g_holes;
alignas(Ranges) u8 g_ranges_storage[sizeof(Ranges)];
alignas(FreeRanges) u8 g_free_storage[sizeof(FreeRanges)];
Range* g_spare;  // chained by start

Ranges& ranges() { return *reinterpret_cast<Ranges*>(g_ranges_storage); }
FreeRanges& free_ranges() { return *reinterpret_cast<FreeRanges*>(g_free_storage); }

// No call below needs more records than this: a cut in the middle of a range makes two more.
constexpr u32 kRecordsAhead = 8;
u32 g_spare_count;

bool records_ahead() {
    if (g_spare_count >= kRecordsAhead) return true;
    constexpr size_t kBlockBytes = 64 * 1024;
    Range* block = (Range*)pages_alloc(kBlockBytes);
    if (!block) return false;
    for (size_t i = 0; i < kBlockBytes / sizeof(Range); i++) {
        block[i].start = (u64)g_spare;
        g_spare = &block[i];
        g_spare_count++;
    }
    return true;
}

Range* new_range(u64 start, u64 end, State state) {
    Range* r = g_spare;
    OC_CHECK(r);
    g_spare = (Range*)r->start;
    g_spare_count--;
    new (r) Range();
    r->start = start;
    r->end = end;
    r->state = state;
    return r;
}

void drop_record(Range* r) {
    r->start = (u64)g_spare;
    g_spare = r;
    g_spare_count++;
}

void list_free(Range* r) {
    free_ranges().insert(*r);
    if (r->state == State::free) g_holes++;
}

void unlist_free(Range* r) {
    free_ranges().erase(FreeRanges::s_iterator_to(*r));
    if (r->state == State::free) g_holes--;
}

bool make() {
    if (g_made) return true;
    if (!records_ahead()) return false;
    new (g_ranges_storage) Ranges();
    new (g_free_storage) FreeRanges();
    u64 offset = 0;
    constexpr unsigned kNonBlocking = 1;  // GRND_NONBLOCK
    if (!(sys(__NR_personality, 0xffffffff) & ADDR_NO_RANDOMIZE)) sys(__NR_getrandom, &offset, sizeof offset, kNonBlocking);
    u64 first = kArenaBegin + page_down(offset % kRandomBytes);
    if (first > kArenaBegin) ranges().insert(*new_range(kArenaBegin, first, State::plain));
    Range* rest = new_range(first, kArenaEnd, State::free);
    ranges().insert(*rest);
    list_free(rest);
    g_made = true;
    return true;
}

// The range that holds the address, or nullptr.
Range* range_at(u64 address) {
    if (!g_made) return nullptr;
    auto it = ranges().upper_bound(address, Below());
    if (it == ranges().begin()) return nullptr;
    --it;
    return address < it->end ? &*it : nullptr;
}

Range* next(Range* r) {
    auto it = ++Ranges::s_iterator_to(*r);
    return it == ranges().end() ? nullptr : &*it;
}

Range* previous(Range* r) {
    auto it = Ranges::s_iterator_to(*r);
    return it == ranges().begin() ? nullptr : &*--it;
}

void clip_guard(Range* r) {
    if (r->guard < r->start) r->guard = r->start;
    if (r->guard_end > r->end) r->guard_end = r->end;
    if (r->guard >= r->guard_end) r->guard = r->guard_end = r->start;
}

// r ends at `at`; what was behind it becomes a range of its own, which is returned.
Range* cut(Range* r, u64 at) {
    bool listed = !r->used();
    if (listed) unlist_free(r);
    Range* tail = new_range(at, r->end, r->state);
    tail->guard = r->guard;
    tail->guard_end = r->guard_end;
    tail->map_flags = r->map_flags;
    r->end = at;
    clip_guard(r);
    clip_guard(tail);
    ranges().insert(*tail);
    if (listed) {
        list_free(r);
        list_free(tail);
    }
    return tail;
}

// Nobody's from now on; joins its neighbours.
void give_back(Range* r, bool still_mapped) {
    u64 from = still_mapped ? r->start : 0, to = still_mapped ? r->end : 0;  // what is stale of it
    auto swallow = [&](Range* other) {
        if (!other || other->used()) return;
        unlist_free(other);
        if (other->state == State::stale) {
            if (from == to) from = other->start, to = other->end;
            if (other->start < from) from = other->start;
            if (other->end > to) to = other->end;
        }
        if (other->start < r->start) r->start = other->start;
        if (other->end > r->end) r->end = other->end;
        ranges().erase(Ranges::s_iterator_to(*other));
        drop_record(other);
    };
    swallow(previous(r));
    swallow(next(r));
    // Grown together, the hole may cost no mapping more.
    bool stale = from != to && (g_holes >= kMostHoles || is_error(sys(__NR_munmap, from, to - from)));
    r->guard = r->guard_end = r->start;
    r->state = stale ? State::stale : State::free;
    list_free(r);
}

long map_promised(Range* r, u64 prot) {
    return sys(__NR_mmap, r->start, r->bytes(), prot, r->map_flags | MAP_STACK | (r->over ? MAP_FIXED : MAP_FIXED_NOREPLACE), -1, 0);
}

// Makes the kernel's view of every used range that touches [from, to) the guest's.
void make_plain(u64 from, u64 to) {
    for (Range* r = range_at(from); r && r->start < to; r = next(r)) {
        if (r->state == State::promised) {
            map_promised(r, PROT_NONE);
        } else if (r->state == State::guarded && r->guard != r->guard_end) {
            sys(__NR_mprotect, r->guard, r->guard_end - r->guard, PROT_NONE);
            sys(__NR_madvise, r->guard, r->guard_end - r->guard, MADV_GUARD_REMOVE);
        } else if (!r->used()) {
            continue;
        }
        r->guard = r->guard_end = r->start;
        r->state = State::plain;
    }
}

// Something the guest placed by itself lies in [from, to): nobody else is to get these addresses.
void occupy(u64 from, u64 to) {
    if (from < kArenaBegin) from = kArenaBegin;
    if (to > kArenaEnd) to = kArenaEnd;
    for (Range* r = range_at(from); r && r->start < to; r = next(r)) {
        if (r->used()) continue;
        if (!records_ahead()) return;
        if (r->start < from) {
            cut(r, from);
            continue;
        }
        if (r->end > to) cut(r, to);
        unlist_free(r);
        r->state = State::plain;
    }
}

// The addresses are unmapped.
void release(u64 from, u64 to) {
    for (Range* r = range_at(from); r && r->start < to;) {
        if (r->used() && records_ahead()) {
            if (r->start < from) {
                r = cut(r, from);
                continue;
            }
            if (r->end > to) cut(r, to);
            give_back(r, false);
        }
        r = next(r);
    }
}

// mmap of a stack: only addresses, until mprotect tells more. 0: not to be had.
u64 promise(u64 bytes, u64 flags) {
    if (!make() || !records_ahead()) return 0;
    auto it = free_ranges().lower_bound(bytes, Smaller());
    if (it == free_ranges().end()) return 0;
    Range* r = &*it;
    if (r->bytes() > bytes) cut(r, r->start + bytes);
    unlist_free(r);
    r->over = r->state == State::stale;
    r->state = State::promised;
    r->map_flags = flags;
    r->guard = r->guard_end = r->start;
    return r->start;
}

// mprotect of a part of a promised range, which tells that the rest is guard.
long keep_promise(Range* r, u64 from, u64 to, u64 prot) {
    if (prot == PROT_NONE) return 0;
    if (from > r->start && to < r->end) {
        make_plain(r->start, r->end);
        return sys(__NR_mprotect, from, to - from, prot);
    }
    long at = map_promised(r, prot);
    if (is_error(at)) return at == -EEXIST ? -ENOMEM : at;
    r->state = State::guarded;
    r->guard = from > r->start ? r->start : to;
    r->guard_end = from > r->start ? from : r->end;
    if (r->guard == r->guard_end) return 0;
    if (!is_error(sys(__NR_madvise, r->guard, r->guard_end - r->guard, MADV_GUARD_INSTALL))) return 0;
    long guard_made = sys(__NR_mprotect, r->guard, r->guard_end - r->guard, PROT_NONE);
    r->guard = r->guard_end = r->start;
    r->state = State::plain;
    return guard_made;
}

// True when [from, to) of a guarded range now is what the guest's mprotect assumes: mapped, without markers where it will be
// accessible.
bool ready_to_protect(Range* r, u64 from, u64 to, u64 prot) {
    u64 low = from > r->guard ? from : r->guard, high = to < r->guard_end ? to : r->guard_end;
    if (low >= high || prot == PROT_NONE) return true;
    if (low > r->guard && high < r->guard_end) return false;
    if (is_error(sys(__NR_madvise, low, high - low, MADV_GUARD_REMOVE))) return false;
    if (low > r->guard)
        r->guard_end = low;
    else
        r->guard = high;
    return true;
}

long protect(u32 nr, const u64 a[6]) {
    u64 from = a[0], to = a[0] + page_up(a[1]), prot = a[2];
    auto native = [&] { return raw_syscall(nr, long(a[0]), long(a[1]), long(a[2]), long(a[3]), 0, 0); };
    constexpr u64 kUsual = PROT_READ | PROT_WRITE | PROT_EXEC;
    Range* r = range_at(from);
    if ((from & (kPageBytes - 1)) || to <= from || !r || !r->used()) return native();
    if (to <= r->end && nr == __NR_mprotect && !(prot & ~kUsual)) {
        if (r->state == State::promised) return keep_promise(r, from, to, prot);
        if (r->state == State::guarded) {
            if (prot == PROT_NONE && from >= r->guard && to <= r->guard_end) return 0;
            if (!ready_to_protect(r, from, to, prot)) make_plain(r->start, r->end);
            return native();
        }
        return native();
    }
    make_plain(from, to);
    return native();
}

long unmap(u64 at, u64 length) {
    u64 from = at, to = at + page_up(length);
    Range* r = range_at(from);
    if ((from & (kPageBytes - 1)) || to <= from || !r || !records_ahead()) return sys(__NR_munmap, at, length);
    if (r->start == from && r->end == to && r->used()) {
        if (r->state == State::promised) {
            give_back(r, r->over);
            return 0;
        }
        bool at_edge = (previous(r) && previous(r)->state == State::free) || (next(r) && next(r)->state == State::free);
        if (!at_edge && g_holes >= kMostHoles) {
            sys(__NR_madvise, from, to - from, MADV_DONTNEED);
            give_back(r, true);
            return 0;
        }
        long done = sys(__NR_munmap, at, length);
        if (!done) give_back(r, false);
        return done;
    }
    make_plain(from, to);
    long done = sys(__NR_munmap, at, length);
    if (!done) release(from, to);
    return done;
}

// Advice that means the same with markers in the range as with a PROT_NONE part.
bool harmless(u64 advice) {
    switch (advice) {
        case MADV_NORMAL:
        case MADV_RANDOM:
        case MADV_SEQUENTIAL:
        case MADV_WILLNEED:
        case MADV_DONTNEED:
        case MADV_FREE:
        case MADV_HUGEPAGE:
        case MADV_NOHUGEPAGE:
        case MADV_COLD:
        case MADV_PAGEOUT: return true;
    }
    return false;
}

long advise(const u64 a[6]) {
    u64 from = a[0], to = a[0] + page_up(a[1]);
    Range* r = range_at(from);
    if (to > from && (!harmless(a[2]) || (r && (r->state == State::promised || to > r->end)))) make_plain(from, to);
    return sys(__NR_madvise, a[0], a[1], a[2]);
}

long remap(const u64 a[6]) {
    u64 old_bytes = page_up(a[1]), new_bytes = page_up(a[2]);
    u64 from = a[0], to = from + (old_bytes > new_bytes ? old_bytes : new_bytes);
    bool fixed = a[3] & MREMAP_FIXED;
    if (to > from) make_plain(from, to);
    if (fixed) make_plain(a[4], a[4] + new_bytes);
    long r = sys(__NR_mremap, a[0], a[1], a[2], a[3], a[4]);
    if (is_error(r)) return r;
    occupy(u64(r), u64(r) + new_bytes);
    if (u64(r) != from) {
        if (old_bytes && !(a[3] & MREMAP_DONTUNMAP)) release(from, from + old_bytes);
    } else if (new_bytes < old_bytes) {
        release(from + new_bytes, from + old_bytes);
    }
    return r;
}

// A mapping that a libc makes for a stack.
bool stack_like(const u64 a[6]) {
    constexpr u64 kPlain = MAP_PRIVATE | MAP_ANONYMOUS;
    u64 flags = u32(a[3]);
    if (a[0] || u32(a[2]) != PROT_NONE || !a[1] || a[1] > (kArenaEnd - kArenaBegin) / 4) return false;
    if ((flags & ~u64(MAP_NORESERVE)) == (kPlain | MAP_STACK)) return true;
    return flags == kPlain && a[1] <= kArenaPlainMost;
}

// The guest chose the address. A mere hint must not fall on what is only promised.
long map_at(const u64 a[6]) {
    bool fixed = a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    u64 at = fixed ? a[0] : 0, to = at + page_up(a[1]);
    if (fixed) make_plain(at, to);
    long r = raw_syscall(__NR_mmap, long(at), long(a[1]), long(a[2]), long(a[3]), long(a[4]), long(a[5]));
    if (fixed && !is_error(r) && make()) occupy(at, to);
    return r;
}

}  // namespace

bool arena_call(u32 nr, const u64 a[6], long* result) {
    if (nr == __NR_mmap) {
        bool placed = arena_holds(a[0]);
        if (!placed && !stack_like(a)) return false;
        if (placed) stack_trims_settle(a[0], a[0] + page_up(a[1]), false);
        Locked held(g_lock);
        *result = placed ? map_at(a) : long(promise(page_up(a[1]), u32(a[3])));
        return *result != 0;
    }
    bool to_arena = nr == __NR_mremap && (a[3] & MREMAP_FIXED) && arena_holds(a[4]);
    if (!arena_holds(a[0]) && !to_arena) return false;
    stack_trims_settle(a[0], a[0] + page_up(a[1]), nr == __NR_munmap);
    if (to_arena) stack_trims_settle(a[4], a[4] + page_up(a[2]), true);
    Locked held(g_lock);
    if (!g_made && !(to_arena && make())) return false;
    switch (nr) {
        case __NR_munmap: *result = unmap(a[0], a[1]); return true;
        case __NR_mprotect:
        case __NR_pkey_mprotect: *result = protect(nr, a); return true;
        case __NR_madvise: *result = advise(a); return true;
        case __NR_mremap: *result = remap(a); return true;
    }
    return false;
}

bool arena_guards(u64 address) {
    if (!arena_holds(address)) return false;
    Locked held(g_lock);
    Range* r = range_at(address);
    if (!r) return false;
    return r->state == State::promised || (r->state == State::guarded && address >= r->guard && address < r->guard_end);
}

void arena_occupied(u64 address, u64 bytes) {
    if (!arena_holds(address)) return;
    Locked held(g_lock);
    if (make()) occupy(address, address + page_up(bytes));
}

void arena_after_fork() { g_lock.reset(); }

}  // namespace ocrun
