// tick.h - the timer signal that keeps a busy coroutine from starving the others
//
// A CLOCK_MONOTONIC timer of each worker signals its kernel thread (CPU clocks fire on the kernel's 4 ms tick only). In guest
// code the handler saves the state and yields; in the runtime it is latched and the exit to the guest yields. Never visible to
// the guest.
//
// The period adapts between the policy's bounds: the shortest while a tick finds somebody waiting for the CPU and the same
// coroutine running as at the last one; doubling otherwise, and while all who take turns only compute, then beyond the longest, up to
// four times that, as long as nobody new gets ready, ten times where nothing from outside can make anybody ready; none at all while the
// worker has nothing queued and some other worker idles, who then looks after timers and descriptors, or nobody waits for any; one for
// the next timer where there is nothing but that to look after. A busy worker with no idle one beside it keeps its tick otherwise, because
// nobody else polls, and starts another worker that does. What makes somebody ready starts ticks again.
#pragma once
#include "runtime/sched/worker.h"

namespace ocrun {

// signal/signals.h names these kInternalSignal, kInternalTick and kInternalKick.
inline constexpr int kTickSignal = 64, kTickValue = 0x0c720001, kKickValue = 0x0c720004;

extern u64 g_tick_max_ns;  // 0: no preemption
void tick_init(bool preempt, u64 min_ns, u64 max_ns);
// All for the calling worker. Something waits for it (or, with nobody queued, may come up): the tick runs from now on, and no slower than
// the policy says unless it is nobody_new.
void tick_want(bool queued, bool nobody_new = false);
// A tick came. moves: what is queued gets its turn without ticks, or has no use for more of them. looked_after: nobody needs this worker
// to look for news. room_ns: until the first timer that nobody else looks after.
inline constexpr u64 kNoTimer = ~0ul;
enum class News : u8 { likely, rare, none };  // none: nothing can come but from who runs, and time
void tick_adapt(bool queued, bool moves, bool looked_after, News news = News::likely, u64 room_ns = kNoTimer);
void tick_stop();

}  // namespace ocrun
