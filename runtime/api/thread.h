// thread.h - what the library keeps of every thread that calls it, and how a thread waits and is woken
//
// Two substrates with one interface: under ocrun the runtime's function table (table.h), else the kernel's futex. A park is ended
// by an unpark, or at once by a permit that one left before; it may also end for no reason (signals), so every caller looks at its
// condition again.
#pragma once
#include <errno.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/api/table.h"

namespace oc {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

inline constexpr u64 kForever = ~0ul;

struct Carrier;  // carrier.h
struct Task;     // task.h
struct Locals;   // local.h

// Thread-local; usable as long as its thread lives. Who unparks another thread makes sure of that by a lock the other takes.
struct Thread {
    oc_self self = nullptr;        // the runtime's, nullptr on plain threads
    std::atomic<u32> word{0};      // plain threads: 0, kPermit, kWaiting
    Carrier* carrier = nullptr;    // of a pool thread
    Task* task = nullptr;          // running here
    int inside = 0;                // > 0: in the library, where nothing may be unwound
    int cancel_off = 0;            // oc_cancel_enable(0)
    std::uintptr_t stack_low = 0;  // of the present stack or segment; 0: not known yet
    Locals* locals = nullptr;      // of an ordinary thread
    oc_self wake_later = nullptr;  // a carrier's: whom to unpark when it parks, or before it runs the next task
    oc_self* owed = nullptr;       // table.h: an unpark put off; nullptr: not to be had
    Task* spare_tasks = nullptr;   // memory for tasks (task.cc)
    u32 spare_count = 0;
    bool spare_known = false;      // the thread's end will free it
};

extern thread_local constinit Thread t_thread __attribute__((tls_model("initial-exec")));
// nullptr on plain threads.
extern const oc_table* g_table;

// Asks the runtime, once; true under ocrun.
bool substrate_find();
void substrate_meet(Thread& me);
// The calling thread, known to the substrate. A task keeps it for its whole life: its coroutine is a thread of its own to libc.
inline Thread& self() {
    Thread& t = t_thread;
    if (__builtin_expect(!t.self && g_table, 0)) substrate_meet(t);
    return t;
}

// 0, -ETIMEDOUT or -EINTR.
long plain_park(Thread& me, u64 deadline_ns);
inline long park(Thread& me, u64 deadline_ns, oc_park_reason reason) {
    if (me.self) {
        // Who was to be unparked goes on in the caller's place.
        oc_self next = me.owed && deadline_ns == kForever ? __atomic_load_n(me.owed, __ATOMIC_RELAXED) : nullptr;
        if (next) __atomic_store_n(me.owed, nullptr, __ATOMIC_RELAXED);
        long r = next ? g_table->hand_over(me.self, next, reason) : g_table->park(me.self, deadline_ns, reason);
        // The only thread of its process (a fork's child): nobody can unpark it, time and signals can.
        if (__builtin_expect(r != -ENOSYS, 1)) return r;
    }
    return plain_park(me, deadline_ns);
}
void unpark(Thread& me, Thread& whom);
// Puts the unpark of a thread of the runtime's off until the caller parks, which hands over, or the runtime takes the CPU from it.
inline void unpark_later(Thread& me, oc_self whom) {
    if (me.owed && !__atomic_load_n(me.owed, __ATOMIC_RELAXED)) {
        __atomic_store_n(me.owed, whom, __ATOMIC_RELEASE);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // A tick that stops meanwhile has looked at the word; one that is on will.
        const char* worker = __atomic_load_n((const char**)((char*)me.self + g_table->worker), __ATOMIC_RELAXED);
        if (worker && __atomic_load_n((const u64*)(worker + g_table->tick), __ATOMIC_RELAXED)) return;
        __atomic_store_n(me.owed, nullptr, __ATOMIC_RELAXED);
    }
    g_table->unpark(me.self, whom);
}
void yield(Thread& me);
// Who is ready with a smaller priority goes on first; on plain threads nothing.
void rank(Thread& me, long priority);
u64 now_ns();
inline u64 deadline_of(u64 timeout_ns) {
    if (timeout_ns == kForever) return kForever;
    u64 now = now_ns();
    return timeout_ns >= kForever - now ? kForever : now + timeout_ns;
}

// A code path in which the calling thread is not to be unwound by a cancellation (locks are held, lists are changed).
class Inside {
public:
    explicit Inside(Thread& t) : thread_(t) {
        thread_.inside++;
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    ~Inside() {
        std::atomic_signal_fence(std::memory_order_seq_cst);
        thread_.inside--;
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

private:
    Thread& thread_;
};

// Held for a few dozen instructions, never across a wait.
class Lock {
public:
    void lock() {
        if (__builtin_expect(!word_.exchange(1, std::memory_order_acquire), 1)) return;
        lock_slowly();
    }
    void unlock() { word_.store(0, std::memory_order_release); }
    void reset() { word_.store(0, std::memory_order_relaxed); }  // in the child of a fork
    bool is_held() const { return word_.load(std::memory_order_acquire); }

private:
    void lock_slowly();
    std::atomic<u32> word_{0};
};

class Locked {
public:
    explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
    ~Locked() { lock_.unlock(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

private:
    Lock& lock_;
};

}  // namespace oc
