// spin.h - a coroutine that waits in a loop of its own for what others do
//
// Nobody says so: there is no call, and `pause` does not trap. Two ticks tell it: both found it at the same few instructions, it made
// no system call between, and nothing moved but at most a counter; what computes moves pointers and sums. Such loops are remembered
// by their address, for all coroutines. Who is found in one has nothing to gain from the CPU as long as somebody else wants it.
//
// More ticks would find it sooner, but a tick is dear where a hypervisor sets the clock and sends the interrupt (50 us were seen).
#pragma once
#include "runtime/context/coroutine.h"

namespace ocrun {

// At a tick: does c, which runs on the calling worker, wait? Its registers are those it was interrupted with.
// idly: nor has it made a system call since the last one.
enum class Spin : u8 { no, waits, waits_idly };
Spin spin_look(Coroutine* c);

}  // namespace ocrun
