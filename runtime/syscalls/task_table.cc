// task_table.cc - parking, waking and yielding for libocrun, entered as C functions (seccomp/table_x86_64.S)
//
// A park here saves no extended state: the caller expects a callee to change it, and the switch keeps the control words. So a
// suspended task costs its registers and a switch, not a trap.
#include "runtime/syscalls/task_table.h"

#include <asm/errno.h>

#include "runtime/base/memory.h"
#include "runtime/sched/permit.h"
#include "runtime/sched/workers.h"
#include "seccomp/segment_bases.h"

namespace ocrun {

namespace {

constexpr const char* kReasons[OC_PARK_REASONS] = {kTaskParks, kTaskJoins, kTaskSleeps, kTaskLocks};

Coroutine* coroutine_of(oc_self self) { return static_cast<Coroutine*>(reinterpret_cast<GuestContext*>(self)); }

// What the fast exit does not look at. Does not return when there is something to do before the guest goes on.
void leave_by_exit_loop(Coroutine* c, long result) {
    c->regs.rax = u64(result);
    oc_table_again();
}

long done(Coroutine* c, long result) {
    if (__builtin_expect(signal_pending(c), 0)) leave_by_exit_loop(c, result);
    return result;
}

const char* text_of(u64 reason) { return kReasons[reason < OC_PARK_REASONS ? reason : 0]; }

}  // namespace

extern "C" {

long oc_table_park(oc_self, u64, u64);
long oc_table_unpark(oc_self, oc_self);
long oc_table_yield(oc_self);
long oc_table_info(oc_self, oc_runtime_info*, u64);
long oc_table_hand_over(oc_self, oc_self, u64);
long oc_table_waiting_call(oc_self, oc_self);
long oc_table_rank(oc_self, long);

long oc_call_park(oc_self self, u64 deadline_ns, u64 reason) {
    Coroutine* c = coroutine_of(self);
    if (!g_multi) return -ENOSYS;
    return park_result(c, park(c, deadline_ns, text_of(reason)));
}

long oc_call_unpark(oc_self self, oc_self whom) {
    unpark(coroutine_of(whom));
    return done(coroutine_of(self), 0);
}

long oc_call_yield(oc_self self) {
    Coroutine* c = coroutine_of(self);
    if (g_multi) yield_now(c);
    return done(c, 0);
}

long oc_call_info(oc_self self, oc_runtime_info* out, u64 bytes) {
    oc_runtime_info info{workers_started(), workers_limit()};
    if (bytes > sizeof info) bytes = sizeof info;
    return done(coroutine_of(self), copy_to_guest(out, &info, bytes));
}

long oc_call_hand_over(oc_self self, oc_self whom, u64 reason) {
    Coroutine* c = coroutine_of(self);
    if (!g_multi) return -ENOSYS;
    return hand_over(c, coroutine_of(whom), text_of(reason));
}

long oc_call_waiting_call(oc_self self, oc_self whom) {
    const Coroutine* c = coroutine_of(whom);
    u32 nr = c->call_nr;
    return done(coroutine_of(self), nr != kNoCall && c->waits_for ? long(nr) : -EAGAIN);
}

long oc_call_rank(oc_self self, long priority) {
    Coroutine* c = coroutine_of(self);
    c->priority = priority;
    return done(c, 0);
}

[[noreturn]] void oc_table_slow_exit(GuestContext* c) {
    // The guest's registers are where the entry put them; of the extended state only the control words outlive a call.
    constexpr u64 kInitialEflags = 0x202;
    reset_xstate(c);
    set_control_words(c, c->table_mxcsr, c->table_x87_control);
    keep_key_rights(c);
    Coroutine* self = static_cast<Coroutine*>(c);
    self->regs.rcx = self->regs.rip;  // spares the exit an iretq
    self->regs.eflags = kInitialEflags;
    self->restart = 0;
    self->restart_deadline_ns = 0;
    oc_exit_loop(c);
}

// The guest has a GS of its own: the runtime's comes back for the length of the call.
void oc_table_take_gs(GuestContext* g) {
    Coroutine* c = static_cast<Coroutine*>(g);
    c->gs_base = read_gs_base();
    write_gs_base((u64)c->on.load(std::memory_order_relaxed));
}

}  // extern "C"

namespace {

// From an oc_self, which points to the GuestContext at the start of a Coroutine.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constexpr u64 kOwed = offsetof(Coroutine, owed), kWorker = offsetof(Coroutine, on), kTick = offsetof(KThread, tick_ns);
#pragma GCC diagnostic pop

constexpr oc_table kTable{OC_TABLE_MAGIC, OC_TABLE_VERSION, sizeof(oc_table), oc_table_park, oc_table_unpark, oc_table_yield, oc_table_info,
                         oc_table_hand_over, oc_table_waiting_call, kOwed, kWorker, kTick, oc_table_rank};

}  // namespace

long task_table_where(Call& call) {
    if (call.c->direct) return -EINVAL;
    oc_table_where where{&kTable, reinterpret_cast<oc_self>(static_cast<GuestContext*>(call.c))};
    return put_guest((void*)call.a[1], where);
}

}  // namespace ocrun
