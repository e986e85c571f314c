// rule_turns.cc - counting calls for rules with `nth` and `probability` (see rule_turns.h)
#include "runtime/process/rule_turns.h"

#include <atomic>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"

namespace ocrun {
namespace {

OC_APART std::atomic<u64> g_calls[kSyscallLimit];
std::atomic<u32> g_place;  // of the process among those of the tree in which something happens by chance; 0: none yet
bool g_counting;

// splitmix64's finalizer (Steele, Lea, Flood 2014): every bit of the result depends on every bit of x.
u64 mixed(u64 x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

u32 place_of_process() {
    if (u32 place = g_place.load(std::memory_order_relaxed)) return place;
    u32 fresh = __atomic_add_fetch(&tree_shared()->chance_processes, 1, __ATOMIC_RELAXED), none = 0;
    return g_place.compare_exchange_strong(none, fresh) ? fresh : none;
}

}  // namespace

bool rule_has_its_turn(const Policy& policy, const SyscallRule& rule, u32 nr) {
    const RuleTurns& turns = policy.turns[rule.turns - 1];
    g_counting = true;
    const u64 count = g_calls[nr].fetch_add(1, std::memory_order_relaxed) + 1;
    if (count < turns.from || (turns.to != 0 && count > turns.to) || (count - turns.from) % turns.every != 0) return false;
    if (turns.chance == 0) return true;
    const u64 of_process = mixed(policy.seed + (u64(place_of_process()) << 32 | nr));
    return u32(mixed(of_process + count) >> 32) < turns.chance;
}

void rule_turns_after_fork() {
    if (!g_counting) return;
    memset(g_calls, 0, sizeof g_calls);
    g_place.store(0, std::memory_order_relaxed);
}

}  // namespace ocrun
