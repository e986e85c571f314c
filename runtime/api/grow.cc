// grow.cc - oc_maybe_grow_stack: segments for deep recursion, pooled, on any thread
//
// The switch is a call through a frame that the unwinder knows (call_on_stack_x86_64.S), not a context switch: nothing has to be
// caught on the segment and thrown again below it, and a forced unwind (cancellation) finds its way too.
#include <errno.h>
#include <pthread.h>

#include "runtime/api/fork.h"
#include "runtime/api/stacks.h"
#include "runtime/api/task.h"

extern "C" void* oc_call_on_stack(oc_function function, void* argument, void* top);

namespace oc {

namespace {

constexpr std::size_t kRedZone = 16 * 1024 + kPage, kSegment = 128 * 1024;
// Segments of the default size come from the first pool, larger ones from those of the next powers of two.
constexpr int kPools = 16;
Stacks g_pools[kPools];
pthread_once_t g_once = PTHREAD_ONCE_INIT;

void init_pools() {
    for (int i = 0; i < kPools; i++) g_pools[i].set_bytes(kSegment << i);
    reset_in_child([] {
        for (Stacks& pool : g_pools) pool.after_fork();
    });
}

std::uintptr_t stack_pointer() { return (std::uintptr_t)__builtin_frame_address(0); }

std::uintptr_t stack_low(Thread& me) {
    if (me.stack_low) return me.stack_low;
    pthread_attr_t a;
    void* low;
    std::size_t bytes;
    if (pthread_getattr_np(pthread_self(), &a)) return 0;
    pthread_attr_getstack(&a, &low, &bytes);
    pthread_attr_destroy(&a);
    return me.stack_low = (std::uintptr_t)low;
}

struct Segment {
    Thread& me;
    Stacks& from;
    void* low;
    std::uintptr_t before;
    Segment(Thread& t, Stacks& pool, void* p) : me(t), from(pool), low(p), before(t.stack_low) { me.stack_low = (std::uintptr_t)p; }
    ~Segment() {
        me.stack_low = before;
        Inside inside(me);
        from.give(low);
    }
};

}  // namespace

}  // namespace oc

using namespace oc;

extern "C" {

size_t oc_stack_left(void) {
    std::uintptr_t low = stack_low(self()), sp = stack_pointer();
    return sp > low ? sp - low : 0;
}

int oc_maybe_grow_stack(size_t red_zone, size_t size, oc_function function, void* argument, void** value) {
    Thread& me = self();
    if (!red_zone) red_zone = kRedZone;
    std::uintptr_t low = stack_low(me), sp = stack_pointer();
    if (sp > low && sp - low >= red_zone) {
        void* r = function(argument);
        if (value) *value = r;
        return 0;
    }
    pthread_once(&g_once, init_pools);
    if (!size) size = kSegment;
    int i = 0;
    while (i < kPools && g_pools[i].bytes() < size) i++;
    if (i == kPools) return -ENOMEM;
    void* segment;
    {
        Inside inside(me);
        segment = g_pools[i].take();
    }
    if (!segment) return -ENOMEM;
    Segment held(me, g_pools[i], segment);
    void* r = oc_call_on_stack(function, argument, (char*)segment + g_pools[i].bytes());
    if (value) *value = r;
    return 0;
}

}  // extern "C"
