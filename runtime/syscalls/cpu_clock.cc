// cpu_clock.cc - CPU time of one thread (clock_gettime(2), clock_getcpuclockid(3), getrusage(2))
//
// The kernel counts workers, not coroutines. While a process has one thread they are the same and the kernel answers;
// later a coroutine's time is what the scheduler counted in time-stamp ticks, scaled by the rate observed since then.
#include <asm/errno.h>
#include <sys/resource.h>
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

u64 coroutine_time_ns(const Coroutine* c) { return c->cpu_base_ns + tsc_to_ns(coroutine_cpu_tsc(c)); }

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
        ns = coroutine_time_ns(call.c);
    } else {
        if (clock >= 0 || !(clock & kPerThread)) return native(call);
        Locked held(g_registry_lock);
        u32 tid = u32(~(clock >> 3));
        Coroutine* target = tid ? registry_find(tid) : call.c;
        if (!target) return native(call);
        ns = coroutine_time_ns(target);
    }
    return put_guest((void*)call.a[1], Timespec64{i64(ns / kSecond), i64(ns % kSecond)});
}

long h_clock_getres(Call& call) {
    i32 clock = i32(call.a[0]);
    bool own = false;
    if (g_multi && clock < 0 && (clock & kPerThread) && (clock & 3) == 2 /* CPUCLOCK_SCHED */) {
        Locked held(g_registry_lock);
        own = registry_find(u32(~(clock >> 3)));
    }
    if (!own) return native(call);
    return call.a[1] ? put_guest((void*)call.a[1], Timespec64{0, 1}) : 0;  // kernel/time/posix-cpu-timers.c
}

long h_getrusage(Call& call) {
    Coroutine* c = call.c;
    if (!g_multi || i32(call.a[0]) != RUSAGE_THREAD) return native(call);
    rusage u;
    long r = sys(__NR_getrusage, RUSAGE_THREAD, &u);
    if (is_error(r)) return r;
    // The kernel too divides a thread's time by samples; these are the worker's. Neither part ever shrinks.
    auto micros = [](const timeval& t) { return u64(t.tv_sec) * 1000000 + u64(t.tv_usec); };
    auto part = [](u64 ns) { return timeval{i64(ns / kSecond), i64(ns % kSecond / 1000)}; };
    u64 user = micros(u.ru_utime), all = user + micros(u.ru_stime), now = coroutine_time_ns(c);
    if (now > c->usage_told_ns) {
        u64 fresh = now - c->usage_told_ns;
        c->usage_user_ns += all ? u64((unsigned __int128)fresh * user / all) : fresh;
        c->usage_told_ns = now;
    }
    u.ru_utime = part(c->usage_user_ns);
    u.ru_stime = part(c->usage_told_ns - c->usage_user_ns);
    if (!c->pinned) {
        // Its switches are the scheduler's; of faults and blocks the kernel knows only whose kernel thread it was.
        u.ru_nvcsw = i64(c->switches);
        u.ru_nivcsw = u.ru_minflt = u.ru_majflt = u.ru_inblock = u.ru_oublock = 0;
    }
    return put_guest((void*)call.a[1], u);
}

}  // namespace ocrun
