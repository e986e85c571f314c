// thread.cc - see thread.h
#include "runtime/api/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace oc {

thread_local constinit Thread t_thread;
const oc_table* g_table;

namespace {

constexpr u32 kPermit = 1, kWaiting = 2;
constexpr int kSpins = 64;

bool ask_runtime(oc_table_where* where) {
    int saved = errno;
    bool found = syscall(SYS_arch_prctl, OC_TABLE_PRCTL, where) == 0 && where->table && where->table->magic == OC_TABLE_MAGIC &&
                 where->table->version == OC_TABLE_VERSION;
    errno = saved;
    return found;
}

long futex_wait(std::atomic<u32>* word, u32 value, u64 deadline_ns) {
    timespec until{time_t(deadline_ns / 1000000000), long(deadline_ns % 1000000000)};
    int saved = errno;
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline_ns == kForever ? nullptr : &until, nullptr, ~0u);
    long error = r ? -errno : 0;
    errno = saved;
    return error;
}

void meet(Thread& me, const oc_table_where& where) {
    me.self = where.self;
    bool old = where.table->bytes < sizeof(oc_table);
    me.owed = old ? nullptr : (oc_self*)((char*)me.self + where.table->owed);
}

}  // namespace

bool substrate_find() {
    oc_table_where where{};
    if (!ask_runtime(&where)) return false;
    g_table = where.table;
    meet(t_thread, where);
    return true;
}

void substrate_meet(Thread& me) {
    oc_table_where where{};
    if (ask_runtime(&where)) meet(me, where);
}

long plain_park(Thread& me, u64 deadline_ns) {
    u32 none = 0;
    if (!me.word.compare_exchange_strong(none, kWaiting, std::memory_order_acquire)) {
        me.word.store(0, std::memory_order_relaxed);
        return 0;
    }
    long r = futex_wait(&me.word, kWaiting, deadline_ns);
    if (me.word.exchange(0, std::memory_order_acquire) == kPermit) return 0;
    return r == -EAGAIN ? 0 : r;
}

void unpark(Thread& me, Thread& whom) {
    if (whom.self) {
        g_table->unpark(me.self, whom.self);
        return;
    }
    if (whom.word.exchange(kPermit, std::memory_order_release) == kWaiting) {
        int saved = errno;
        syscall(SYS_futex, &whom.word, FUTEX_WAKE_PRIVATE, 1);
        errno = saved;
    }
}

void rank(Thread& me, long priority) {
    if (me.self && g_table->bytes >= sizeof(oc_table)) g_table->rank(me.self, priority);
}

void yield(Thread& me) {
    if (me.self)
        g_table->yield(me.self);
    else
        sched_yield();
}

u64 now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return u64(t.tv_sec) * 1000000000 + u64(t.tv_nsec);
}

void Lock::lock_slowly() {
    do {
        for (int i = 0; i < kSpins; i++) {
            if (!word_.load(std::memory_order_relaxed)) break;
            __builtin_ia32_pause();
        }
        if (!word_.load(std::memory_order_relaxed)) continue;
        // Its holder was preempted.
        yield(self());
    } while (word_.exchange(1, std::memory_order_acquire));
}

}  // namespace oc
