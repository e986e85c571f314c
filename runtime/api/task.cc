// task.cc - creation, join and release of tasks (see task.h)
#include "runtime/api/task.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <new>

#include "runtime/api/cancel.h"
#include "runtime/api/carrier.h"
#include "runtime/api/listen.h"
#include "runtime/api/pool.h"

namespace oc {

namespace {

std::atomic<u64> g_ids{1};
// Ids are handed to threads in blocks: a counter that every creation shares costs more than the creation.
constexpr u64 kIdBlock = 64;
thread_local u64 t_next_id __attribute__((tls_model("initial-exec")));

u64 next_id() {
    if (t_next_id % kIdBlock == 0) t_next_id = g_ids.fetch_add(1, std::memory_order_relaxed) * kIdBlock;
    return t_next_id++;
}

// Memory of tasks goes round in the thread that frees it.
constexpr u32 kSpareTasks = 64;
pthread_key_t g_spare_end;
pthread_once_t g_spare_once = PTHREAD_ONCE_INIT;

void free_spares(void* thread) {
    Thread& me = *(Thread*)thread;
    me.spare_known = false;
    while (Task* t = me.spare_tasks) {
        me.spare_tasks = t->next;
        ::operator delete(t);
    }
    me.spare_count = 0;
}
void make_spare_key() { pthread_key_create(&g_spare_end, free_spares); }

oc_task* task_alloc(Thread& me) {
    void* p = me.spare_tasks;
    if (__builtin_expect(p != nullptr, 1)) {
        me.spare_tasks = me.spare_tasks->next;
        me.spare_count--;
    } else if (!(p = ::operator new(sizeof(oc_task), std::nothrow))) {
        return nullptr;
    }
    return new (p) oc_task;  // not {}: the compiler clears all of it first, by a slow `rep stos`
}

void task_free(oc_task* t) {
    Thread& me = t_thread;
    if (__builtin_expect(!me.spare_known, 0)) {
        pthread_once(&g_spare_once, make_spare_key);
        me.spare_known = !pthread_setspecific(g_spare_end, &me);
    }
    if (!me.spare_known || me.spare_count >= kSpareTasks) {
        ::operator delete(t);
        return;
    }
    t->next = me.spare_tasks;
    me.spare_tasks = t;
    me.spare_count++;
}

void link(Task* t, WaitNode* n) {
    n->next = t->waiters;
    if (n->next) n->next->link.store(&n->next, std::memory_order_relaxed);
    n->link.store(&t->waiters, std::memory_order_relaxed);
    t->waiters = n;
}
// Link last, which its owner may look at without the lock.
inline void unlink(WaitNode* n) {
    WaitNode** link = n->link.load(std::memory_order_relaxed);
    if (!link) return;
    *link = n->next;
    if (n->next) n->next->link.store(link, std::memory_order_relaxed);
    n->link.store(nullptr, std::memory_order_release);
}

// False when it has ended: no need to wait.
inline bool wait_on(Task* t, WaitNode* n, Thread& me) {
    n->thread = &me;
    Locked held(t->lock);
    if (has_ended(t)) {
        n->link = nullptr;
        return false;
    }
    link(t, n);
    return true;
}
inline void wait_off(Task* t, WaitNode* n) {
    if (has_ended(t) && !n->link.load(std::memory_order_acquire) && !t->lock.is_held()) return;
    Locked held(t->lock);
    unlink(n);
}

int join(Task* t, u64 timeout_ns, void** value) {
    Thread& me = self();
    if (me.task == t) return -EDEADLK;
    if (!has_ended(t)) {
        bool cancelled = false;
        {
            Inside inside(me);
            WaitNode node;
            if (wait_on(t, &node, me)) {
                u64 deadline = deadline_of(timeout_ns);
                Suspended suspended(me);
                while (!has_ended(t)) {
                    if ((cancelled = cancel_wanted(me))) break;
                    if (park(me, deadline, OC_PARK_JOIN) == -ETIMEDOUT) break;
                }
                wait_off(t, &node);
            }
        }
        if (cancelled) return cancel_here(me);
        if (!has_ended(t)) return -ETIMEDOUT;
    }
    if (value) *value = t->value;
    return t->error;
}

}  // namespace

void task_end_locked(Thread& me, Task* t, enum oc_state state, int error, void* value) {
    u32 before = t->state.load(std::memory_order_relaxed);
    t->error = error;
    t->value = value;
    t->carrier = nullptr;
    // One waiter, and a carrier that is about to go idle: it will hand over to it. The node is off the list before the end can be
    // seen, so the waiter need not lock to leave (wait_off).
    WaitNode* one = t->waiters;
    if (one && !one->next && me.carrier && !me.task && one->thread->self && !me.wake_later) {
        me.wake_later = one->thread->self;
        unlink(one);
        // The handle's reference outlives the join, and the join this lock (wait_off): the carrier's goes now, without a race.
        if (t->references.load(std::memory_order_relaxed) == 2 && !me.carrier->watched.load(std::memory_order_relaxed)) {
            t->references.store(1, std::memory_order_relaxed);
            me.carrier->released = true;
        }
    }
    t->state.store(state, std::memory_order_release);
    tell(t, before, state, error);
    while (WaitNode* n = t->waiters) {
        // Off the list last: its thread stays until then (wait_off).
        unpark(me, *n->thread);
        unlink(n);
    }
}

void task_ended(Task* t) {
    if (t->ended) t->ended(t->argument);
}

void task_release(Task* t) {
    if (t->references.load(std::memory_order_acquire) != 1 && t->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    delete t->failure;
    task_free(static_cast<oc_task*>(t));
}

}  // namespace oc

using namespace oc;

extern "C" {

oc_task* oc_task_create_with(oc_function function, void* argument, const oc_task_attributes* attributes) {
    Thread& me = self();
    Inside inside(me);
    if (!function || (attributes && (attributes->size < sizeof *attributes || attributes->flags))) {
        errno = EINVAL;
        return nullptr;
    }
    oc_task* t = task_alloc(me);
    if (!t) {
        errno = ENOMEM;
        return nullptr;
    }
    t->function = function;
    t->argument = argument;
    t->priority = attributes ? attributes->priority : 0;
    t->ended = attributes ? attributes->ended : nullptr;
    t->id = next_id();
    tell(t, 0, OC_READY);
    if (int r = pool_submit(me, t)) {
        task_free(t);
        errno = -r;
        return nullptr;
    }
    return t;
}

oc_task* oc_task_create(oc_function function, void* argument, long priority) {
    if (!priority) return oc_task_create_with(function, argument, nullptr);
    oc_task_attributes a{sizeof a, 0, priority, nullptr};
    return oc_task_create_with(function, argument, &a);
}

int oc_task_join(oc_task* t, void** value) { return join(t, OC_FOREVER, value); }
int oc_task_timeout_join(oc_task* t, uint64_t timeout_ns, void** value) { return join(t, timeout_ns, value); }

long oc_task_any_join(oc_task* const* tasks, size_t n, uint64_t timeout_ns) {
    constexpr size_t kOnStack = 32;
    if (!n) return -EINVAL;
    auto ended = [&]() -> long {
        for (size_t i = 0; i < n; i++)
            if (has_ended(tasks[i])) return long(i);
        return -ETIMEDOUT;
    };
    long found = ended();
    if (found >= 0) return found;
    Thread& me = self();
    bool cancelled = false;
    {
        Inside inside(me);
        WaitNode few[kOnStack];
        WaitNode* nodes = n <= kOnStack ? few : (WaitNode*)malloc(n * sizeof(WaitNode));
        if (!nodes) return -ENOMEM;
        u64 deadline = deadline_of(timeout_ns);
        size_t linked = 0;
        while (linked < n && wait_on(tasks[linked], &nodes[linked], me)) linked++;
        if (linked == n) {
            Suspended suspended(me);
            // Woken by whichever ended; which one it was is looked up once.
            while ((found = ended()) < 0) {
                if ((cancelled = cancel_wanted(me))) break;
                if (park(me, deadline, OC_PARK_JOIN) == -ETIMEDOUT) break;
            }
        }
        for (size_t i = 0; i < linked; i++) wait_off(tasks[i], &nodes[i]);
        if (nodes != few) free(nodes);
    }
    if (cancelled) return cancel_here(me);
    return ended();
}

void oc_task_drop(oc_task* t) {
    if (!t) return;
    Inside inside(self());
    task_release(t);
}

uint64_t oc_task_id(const oc_task* t) { return t->id; }
enum oc_state oc_task_state(const oc_task* task) {
    Task* t = const_cast<oc_task*>(task);
    u32 state = t->state.load(std::memory_order_acquire);
    if (!g_table || (state != OC_RUNNING && state != OC_SYSCALL)) return oc_state(state);
    Thread& me = self();
    Inside inside(me);
    Locked held(t->lock);
    if (!t->carrier) return oc_state(t->state.load(std::memory_order_relaxed));
    return g_table->waiting_call(me.self, t->carrier->thread->self) >= 0 ? OC_SYSCALL : OC_RUNNING;
}
const char* oc_task_error_text(const oc_task* t) { return has_ended(t) && t->failure ? t->failure->text : ""; }

int oc_task_exception(const oc_task* t, void* out) {
    if (!has_ended(t) || !t->failure || !t->failure->exception) return -ENOENT;
    *(std::exception_ptr*)out = t->failure->exception;
    return 0;
}

uint64_t oc_current_id(void) {
    Task* t = self().task;
    return t ? t->id : 0;
}

void oc_yield(void) {
    Thread& me = self();
    if (cancel_wanted(me) && cancel_here(me)) return;
    Inside inside(me);
    yield(me);
}

int oc_sleep(uint64_t span_ns) {
    Thread& me = self();
    u64 deadline = deadline_of(span_ns);
    bool cancelled = false;
    {
        Inside inside(me);
        Suspended suspended(me);
        while (!(cancelled = cancel_wanted(me))) {
            if (park(me, deadline, OC_PARK_SLEEP) == -ETIMEDOUT) break;
            if (deadline != kForever && now_ns() >= deadline) break;
        }
    }
    return cancelled ? cancel_here(me) : 0;
}

}  // extern "C"
