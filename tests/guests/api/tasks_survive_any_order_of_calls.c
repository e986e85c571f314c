// tasks_survive_any_order_of_calls.c - tasks and threads create, join, cancel, drop and wait for tasks in random order: each task
// ends as it may, what it owned is given back, and nothing is left
// TEST: libs=ocrun_shared args="20000" timeout=60
//
// tasks_survive_any_order_of_calls OPERATIONS [SEED]. A handle is one thread's at a time; it is taken from a table by exchange.
#include <errno.h>

#include "api.h"

enum { SLOTS = 64, PLAYERS = 6, TASKS = 4, FEW = 4 };
struct work {
    int kind, begun, cleaned;
    unsigned seed;
    oc_task* task;
};
enum { RETURNS, SLEEPS, READS, COMPUTES, YIELDS, JOINS, KINDS };

static struct work* table[SLOTS];
static int never[2], operations, owned, made, ended;
static oc_local key;

static unsigned roll(unsigned* seed) { return *seed = *seed * 1664525u + 1013904223u, *seed >> 8; }

static void cleans(void* w) { __atomic_store_n(&((struct work*)w)->cleaned, 1, __ATOMIC_SEQ_CST); }
static void frees_local(void* value) {
    free(value);
    add(&owned, -1);
}
static void ends(void* unused) {
    (void)unused;
    add(&ended, 1);
}
static void* value_of(struct work* w) { return (char*)w + 1; }

static void* works(void* argument) {
    struct work* w = argument;
    void* volatile result = NULL;
    // A cancellation may come between any two instructions: not between these.
    oc_cancel_enable(0);
    __atomic_store_n(&w->begun, 1, __ATOMIC_SEQ_CST);
    pthread_cleanup_push(cleans, w);
    if (roll(&w->seed) % 2) {
        void* memory = malloc(16);
        add(&owned, 1);
        CHECK_EQ(oc_local_set(key, memory), 0);
    }
    oc_cancel_enable(1);
    char byte;
    switch (w->kind) {
        case SLEEPS: oc_sleep(roll(&w->seed) % 300000); break;
        case READS: CHECK_EQ(read(never[0], &byte, 1), -99); break;  // until it is cancelled
        case COMPUTES:
            for (volatile unsigned i = 0, n = roll(&w->seed) % 30000; i < n; i = i + 1) {}
            break;
        case YIELDS:
            for (unsigned i = roll(&w->seed) % 20; i; i--) oc_yield();
            break;
        case JOINS: {
            oc_task* few[FEW];
            for (int i = 0; i < FEW; i++) CHECK((few[i] = oc_task_create((oc_function)(void*)oc_current_id, NULL, i - 2)));
            // Cancelled here, its handles are lost; they are only memory (the test runs without a leak checker).
            long first = oc_task_any_join(few, FEW, OC_FOREVER);
            CHECK(first >= 0 && first < FEW);
            for (int i = 0; i < FEW; i++) CHECK(finished(few[i], 0));
            break;
        }
    }
    oc_cancel_enable(0);
    result = value_of(w);
    pthread_cleanup_pop(1);
    return result;
}

static void check_end(struct work* w, int r, void* value, int cancelled) {
    if (r == -ECANCELED) {
        CHECK(cancelled);
        // Begun and unwound, or never begun.
        CHECK_EQ(load(&w->begun), load(&w->cleaned));
    } else {
        CHECK_EQ(r, 0);
        CHECK(value == value_of(w));
        CHECK(load(&w->cleaned));
    }
}

static void over(struct work* w, int cancelled) {
    void* value = NULL;
    int r = oc_task_join(w->task, &value);
    check_end(w, r, value, cancelled);
    CHECK_EQ(oc_task_state(w->task), r ? OC_CANCELLED : OC_COMPLETE);
    oc_task_drop(w->task);
    free(w);
}

static void* plays(void* number) {
    unsigned seed = (unsigned)(long)number * 77777 + 1;
    while (add(&operations, -1) >= 0) {
        int slot = (int)(roll(&seed) % SLOTS);
        struct work* w = __atomic_exchange_n(&table[slot], NULL, __ATOMIC_SEQ_CST);
        if (!w) {
            CHECK((w = calloc(1, sizeof *w)));
            w->kind = (int)(roll(&seed) % KINDS);
            w->seed = roll(&seed);
            oc_task_attributes a = {sizeof a, 0, roll(&seed) % 4 ? 0 : (long)(roll(&seed) % 9) - 4, ends};
            CHECK((w->task = oc_task_create_with(works, w, &a)));
            add(&made, 1);
        } else {
            switch (roll(&seed) % 4) {
                case 0:
                    if (w->kind != READS) {
                        over(w, 0);
                        continue;
                    }
                    break;
                case 1: {
                    int r = oc_task_timeout_join(w->task, roll(&seed) % 100000, NULL);
                    if (r == -ETIMEDOUT) break;
                    CHECK_EQ(r, 0);
                    over(w, 0);
                    continue;
                }
                case 2:
                    if (roll(&seed) % 2) oc_yield();
                    CHECK_EQ(oc_task_cancel(w->task), 0);
                    over(w, 1);
                    continue;
                case 3: {
                    // Another's and this one, whichever is first: two handles in one hand.
                    struct work* other = __atomic_exchange_n(&table[roll(&seed) % SLOTS], NULL, __ATOMIC_SEQ_CST);
                    if (!other) break;
                    oc_task* both[2] = {w->task, other->task};
                    CHECK_EQ(oc_task_cancel(both[roll(&seed) % 2]), 0);
                    long first = oc_task_any_join(both, 2, OC_FOREVER);
                    CHECK(first == 0 || first == 1);
                    CHECK(oc_task_state(both[first]) >= OC_COMPLETE);
                    for (int i = 0; i < 2; i++) CHECK_EQ(oc_task_cancel(both[i]), 0);
                    over(other, 1);
                    over(w, 1);
                    continue;
                }
            }
        }
        struct work* there = __atomic_exchange_n(&table[slot], w, __ATOMIC_SEQ_CST);
        if (!there) continue;
        CHECK_EQ(oc_task_cancel(there->task), 0);
        over(there, 1);
    }
    return NULL;
}

int main(int argc, char** argv) {
    oc_config config = api_config();
    config.tasks_max = 200;
    CHECK_EQ(oc_init(&config), 0);
    CHECK_EQ(oc_local_create(&key, frees_local), 0);
    CHECK_OK(pipe(never));
    operations = atoi(argv[1]);
    long seed = argc > 2 ? atol(argv[2]) : 1;
    pthread_t threads[PLAYERS];
    oc_task* tasks[TASKS];
    for (long i = 0; i < PLAYERS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, plays, (void*)(seed * 100 + i)), 0);
    for (long i = 0; i < TASKS; i++) CHECK((tasks[i] = oc_task_create(plays, (void*)(seed * 100 + 50 + i), 0)));
    for (int i = 0; i < PLAYERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < TASKS; i++) finished(tasks[i], 0);
    for (int i = 0; i < SLOTS; i++) {
        if (!table[i]) continue;
        CHECK_EQ(oc_task_cancel(table[i]->task), 0);
        over(table[i], 1);
    }
    api_end();
    CHECK_EQ(load(&owned), 0);
    CHECK_EQ(load(&ended), made);
    say("ok");
    return 0;
}
