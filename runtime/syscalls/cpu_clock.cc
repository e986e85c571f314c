// cpu_clock.cc - CPU time of one thread (clock_gettime(2), clock_getcpuclockid(3))
//
// The kernel counts workers, not coroutines. While a process has one thread they are the same and the kernel answers;
// later a coroutine's time is what the scheduler counted in time-stamp ticks, scaled by the rate observed since then.
#include <asm/errno.h>
#include <time.h>

#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "runtime/syscalls/call.h"

namespace ocrun {

namespace {

constexpr u64 kSecond = 1000000000ul;
// include/linux/posix-timers_types.h: id << 3, bit 2 for a thread, low bits 2 for "scheduler time".
constexpr i32 kPerThread = 4;

u64 g_tsc0, g_ns0;

u64 thread_time_ns() {
    timespec t;
    sys(__NR_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &t);
    return u64(t.tv_sec) * kSecond + u64(t.tv_nsec);
}

}  // namespace

u64 tsc_to_ns(u64 ticks) {
    u64 tsc = __builtin_ia32_rdtsc() - g_tsc0, ns = now_ns() - g_ns0;
    return tsc ? u64((unsigned __int128)ticks * ns / tsc) : 0;
}

void cpu_clock_enter_multi(Coroutine* c) {
    g_tsc0 = __builtin_ia32_rdtsc();
    g_ns0 = now_ns();
    this_thread()->switched_in_tsc = g_tsc0;
    c->cpu_tsc = 0;
    c->cpu_base_ns = thread_time_ns();
}

long h_clock_gettime(Call& call) {
    i32 clock = i32(call.a[0]);
    if (!g_multi) return native(call);
    u64 ns;
    if (clock == CLOCK_THREAD_CPUTIME_ID) {
        ns = call.c->cpu_base_ns + tsc_to_ns(coroutine_cpu_tsc(call.c));
    } else {
        if (clock >= 0 || !(clock & kPerThread)) return native(call);
        Locked held(g_registry_lock);
        u32 tid = u32(~(clock >> 3));
        Coroutine* target = tid ? registry_find(tid) : call.c;
        if (!target) return native(call);
        ns = target->cpu_base_ns + tsc_to_ns(coroutine_cpu_tsc(target));
    }
    return put_guest((void*)call.a[1], Timespec64{i64(ns / kSecond), i64(ns % kSecond)});
}

}  // namespace ocrun
