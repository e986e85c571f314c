// local.cc - oc_local_*: keys for the process, values by task or thread
#include "runtime/api/local.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "runtime/api/fork.h"
#include "runtime/api/task.h"

namespace oc {

namespace {

constexpr u32 kKeys = 1024;
// As PTHREAD_DESTRUCTOR_ITERATIONS: a destructor may set values again.
constexpr int kRounds = 4;

struct Key {
    std::atomic<bool> used;
    void (*destructor)(void*);
    // Values set for an earlier key of the same number are not this one's.
    std::atomic<u32> generation;
};
Key g_keys[kKeys];
Lock g_lock;
u32 g_next;

struct Slot {
    void* value;
    u64 generation;
};

pthread_key_t g_thread_end;
pthread_once_t g_once = PTHREAD_ONCE_INIT;

void thread_ends(void* locals) {
    Locals* l = (Locals*)locals;
    t_thread.locals = l;
    locals_end(*l);
    free(l);
    t_thread.locals = nullptr;
}
void make_thread_key() { pthread_key_create(&g_thread_end, thread_ends); }

Locals* locals_of(Thread& me, bool make) {
    if (me.task) return &me.task->locals;
    if (me.locals || !make) return me.locals;
    pthread_once(&g_once, make_thread_key);
    Locals* l = (Locals*)calloc(1, sizeof(Locals));
    if (!l) return nullptr;
    if (pthread_setspecific(g_thread_end, l)) {
        free(l);
        return nullptr;
    }
    me.locals = l;
    return l;
}

}  // namespace

void locals_end(Locals& l) {
    if (!l.values) return;
    for (int round = 0; round < kRounds; round++) {
        bool any = false;
        for (u32 i = 0; i < l.count; i++) {
            Slot& s = ((Slot*)l.values)[i];
            void* value = s.value;
            if (!value || s.generation != g_keys[i].generation.load(std::memory_order_acquire)) continue;
            s.value = nullptr;
            if (auto destructor = g_keys[i].destructor) {
                any = true;
                destructor(value);
            }
        }
        if (!any) break;
    }
    free(l.values);
    l.values = nullptr;
    l.count = 0;
}

}  // namespace oc

using namespace oc;

extern "C" {

int oc_local_create(oc_local* key, void (*destructor)(void*)) {
    reset_in_child([] { g_lock.reset(); });
    Thread& me = self();
    Inside inside(me);
    Locked held(g_lock);
    for (u32 i = 0; i < kKeys; i++) {
        u32 k = (g_next + i) % kKeys;
        if (g_keys[k].used) continue;
        g_next = k + 1;
        g_keys[k].destructor = destructor;
        g_keys[k].generation.fetch_add(1, std::memory_order_release);
        g_keys[k].used = true;
        *key = k;
        return 0;
    }
    return -EAGAIN;
}

void oc_local_delete(oc_local key) {
    if (key >= kKeys) return;
    Inside inside(self());
    Locked held(g_lock);
    if (!g_keys[key].used) return;
    g_keys[key].generation.fetch_add(1, std::memory_order_release);
    g_keys[key].used = false;
}

void* oc_local_get(oc_local key) {
    Locals* l = locals_of(self(), false);
    if (!l || key >= l->count) return nullptr;
    Slot& s = ((Slot*)l->values)[key];
    return s.generation == g_keys[key].generation.load(std::memory_order_acquire) ? s.value : nullptr;
}

int oc_local_set(oc_local key, void* value) {
    if (key >= kKeys || !g_keys[key].used) return -EINVAL;
    Thread& me = self();
    Inside inside(me);
    Locals* l = locals_of(me, true);
    if (!l) return -ENOMEM;
    if (key >= l->count) {
        u32 count = (key + 8) & ~7u;
        void* grown = realloc(l->values, count * sizeof(Slot));
        if (!grown) return -ENOMEM;
        for (u32 i = l->count; i < count; i++) ((Slot*)grown)[i] = Slot{};
        l->values = grown;
        l->count = count;
    }
    ((Slot*)l->values)[key] = Slot{value, g_keys[key].generation.load(std::memory_order_acquire)};
    return 0;
}

}  // extern "C"
