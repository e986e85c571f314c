// Threads hand numbers on through atomics alone, without a call that waits: a pair that answers each other, then a ring of more than
// there are workers or processors. Each must have the CPU in turn, and what the two kinds of waits leave in the registers and below
// the stack pointer (leaf functions keep their locals there) is as it was.
// TEST: needs=preemption timeout=120
#include <stdatomic.h>

#include "check.h"

enum { kMost = 12 };
struct seat {
    _Alignas(64) atomic_long in;
    long sum;
};
static struct seat g_seats[kMost];
static int g_count, g_turns;

// The next number of this seat, with everything that a spinning loop uses in registers and in the red zone.
__attribute__((noinline)) static long take(struct seat* s, long last) {
    volatile long below[4] = {last, last + 1, last + 2, last + 3};
    long now;
    while ((now = atomic_load_explicit(&s->in, memory_order_acquire)) == last) continue;
    return below[0] + below[1] + below[2] + below[3] == 4 * last + 6 ? now : -1;
}

// The same with a bounded number of looks, as programs do that block after a while.
__attribute__((noinline)) static long take_counted(struct seat* s, long last) {
    for (int i = 0; i < 20000; i++)
        if (atomic_load_explicit(&s->in, memory_order_acquire) != last) break;
    return atomic_load_explicit(&s->in, memory_order_acquire);
}

static void* work(void* argument) {
    long at = (long)argument, last = 0;
    struct seat *mine = &g_seats[at], *next = &g_seats[(at + 1) % g_count];
    for (int i = 0; i < g_turns; i++) {
        long now = last;
        if (at & 1) {
            now = take(mine, last);
        } else {
            while (now == last) now = take_counted(mine, last);
        }
        CHECK(now == last + 1);
        last = now;
        mine->sum += now;
        atomic_store_explicit(&next->in, at == g_count - 1 ? now + 1 : now, memory_order_release);
    }
    return NULL;
}

static void round_of(int count, int turns) {
    pthread_t t[kMost];
    g_count = count, g_turns = turns;
    for (long i = 0; i < count; i++) {
        atomic_store(&g_seats[i].in, 0);
        g_seats[i].sum = 0;
    }
    for (long i = 0; i < count; i++) CHECK(pthread_create(&t[i], NULL, work, (void*)i) == 0);
    atomic_store(&g_seats[0].in, 1);
    long sum = 0;
    for (int i = 0; i < count; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
        sum += g_seats[i].sum;
    }
    CHECK(sum == (long)count * turns * (turns + 1) / 2);
    say("%d threads, %d turns: %ld", count, turns, sum);
}

int main(void) {
    round_of(2, 200);
    round_of(4, 40);
    round_of(kMost, 4);
    return 0;
}
