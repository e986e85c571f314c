// shared_high.h - blocks of zmm16-31 that contexts share
//
// On x86-64 with AVX-512 glibc's string functions use zmm16-31 and leave them in use. A thread inherits them from its creator and in
// most programs never changes them; kept in each one's own area they are half of what a switch moves, and with very many threads 16 of
// some 55 lines that it fetches from afar. So a creator and those it makes point to one block (GuestContext::high) for as long as the
// registers equal it. A block is not written to while anybody points to it; who finds its registers changed leaves it (oc_xstate_save).
//
// No locks: a block is claimed by its count. There are 64; without a free one a thread begins with registers of its own.
#pragma once
#include "seccomp/trap.h"

namespace ocrun {

// `to`, a new thread, was made a copy of `from` by copy_xstate. Where they point to no block together they get one, if there is one.
void high_share(GuestContext* to, GuestContext* from);
// One more, one fewer that points to the block; nullptr does nothing.
void high_keep(u8* block);
void high_release(u8* block);
// In the child of a fork: nobody but `survivor` points to any.
void high_after_fork(const GuestContext* survivor);

}  // namespace ocrun
