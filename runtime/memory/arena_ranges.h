// arena_ranges.h - whose each address of the arena is (see arena.h): the ranges, by address and by size
//
// All under arena.cc's lock. Only give_back calls the kernel.
#pragma once
#include "runtime/base/memory.h"

#define BOOST_DISABLE_ASSERTS
#include <boost/intrusive/set.hpp>

namespace ocrun::arena {

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

// Before the calls below: the ranges exist; false when there is no memory.
bool make();
bool made();
// Records for what one call of the guest needs; false when there is no memory.
bool records_ahead();

// The range that holds the address, or nullptr.
Range* range_at(u64 address);
Range* next(Range* r);
Range* previous(Range* r);

// Nobody's addresses of that size, which the caller marks as used; nullptr: there are none.
Range* take(u64 bytes);
// Nobody's from now on; joins its neighbours.
void give_back(Range* r, bool still_mapped);
// Something the guest placed by itself lies in [from, to): nobody else is to get these addresses.
void occupy(u64 from, u64 to);
// The addresses are unmapped.
void release(u64 from, u64 to);

// One more hole between stacks would cost a mapping more than may be spent.
bool holes_are_spent();

}  // namespace ocrun::arena
