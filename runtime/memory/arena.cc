// arena.cc - the guest's calls on the arena (see arena.h)
#include "runtime/memory/arena.h"

#include <asm/errno.h>
#include <sys/mman.h>

#include "runtime/base/lock.h"
#include "runtime/base/new_kernel.h"
#include "runtime/memory/arena_ranges.h"
#include "runtime/memory/trims.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

using namespace arena;

Lock g_lock;

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

// mmap of a stack: only addresses, until mprotect tells more. 0: not to be had.
u64 promise(u64 bytes, u64 flags) {
    if (!make() || !records_ahead()) return 0;
    Range* r = take(bytes);
    if (!r) return 0;
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
        if (!at_edge && holes_are_spent()) {
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
    bool known = fixed && make();  // before: what is mapped by then is not the arena's
    if (fixed) make_plain(at, to);
    long r = raw_syscall(__NR_mmap, long(at), long(a[1]), long(a[2]), long(a[3]), long(a[4]), long(a[5]));
    if (known && !is_error(r)) occupy(at, to);
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
    if (!made() && !(to_arena && make())) return false;
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
