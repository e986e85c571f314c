// arena_ranges.cc - see arena_ranges.h
#include "runtime/memory/arena_ranges.h"

#include <asm/errno.h>
#include <linux/personality.h>
#include <sys/mman.h>

#include <new>

#include "runtime/base/text.h"
#include "seccomp/syscall_table.h"

namespace ocrun::arena {

namespace {

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

}  // namespace

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

// TSan's and MSan's shadows cover all of these addresses, by mappings that begin below them, of which nobody told us.
static bool addresses_are_free() {
    constexpr u64 kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    long r = sys(__NR_mmap, kArenaBegin, kArenaEnd - kArenaBegin, PROT_NONE, kFlags, -1, 0);
    if (!is_error(r)) sys(__NR_munmap, kArenaBegin, kArenaEnd - kArenaBegin);
    return r != -EEXIST;
}

bool make() {
    if (g_made) return true;
    if (!records_ahead()) return false;
    new (g_ranges_storage) Ranges();
    new (g_free_storage) FreeRanges();
    if (!addresses_are_free()) {
        ranges().insert(*new_range(kArenaBegin, kArenaEnd, State::plain));
        return g_made = true;
    }
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

bool made() {
    return g_made;
}

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

Range* take(u64 bytes) {
    auto it = free_ranges().lower_bound(bytes, Smaller());
    if (it == free_ranges().end()) return nullptr;
    Range* r = &*it;
    if (r->bytes() > bytes) cut(r, r->start + bytes);
    unlist_free(r);
    return r;
}

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
    bool stale = from != to && (holes_are_spent() || is_error(sys(__NR_munmap, from, to - from)));
    r->guard = r->guard_end = r->start;
    r->state = stale ? State::stale : State::free;
    list_free(r);
}

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

bool holes_are_spent() {
    return g_holes >= kMostHoles;
}

}  // namespace ocrun::arena
