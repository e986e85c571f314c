// priorities_decide_who_goes_on_first.c - of tasks that become ready at the same moment those of smaller priority run sooner, and
// so does one that computes. Sure on one worker of ocrun's; elsewhere it only has to end
// TEST: libs=ocrun_shared
#include "api.h"

enum { N = 60, KINDS = 3 };
static const long priorities[KINDS] = {7, 0, -7};
static int waiting, open_gate, n;
static long position[KINDS];

static void* gate(void* unused) {
    WAIT_UNTIL(load(&open_gate));
    return unused;
}
static oc_task* the_gate;
static void* waits(void* kind) {
    add(&waiting, 1);
    CHECK_EQ(oc_task_join(the_gate, NULL), 0);
    long at = add(&n, 1);
    __atomic_add_fetch(&position[(long)kind], at, __ATOMIC_SEQ_CST);
    return NULL;
}

static int stop_at, counted[2], stopped;
static void* counts(void* which) {
    while (!load(&stopped))
        if (add(&counted[(long)which], 1) >= stop_at) __atomic_store_n(&stopped, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(void) {
    api_start();
    the_gate = oc_task_create(gate, NULL, 0);
    oc_task* tasks[N];
    for (int i = 0; i < N; i++) tasks[i] = oc_task_create(waits, (void*)(long)(i % KINDS), priorities[i % KINDS]);
    WAIT_UNTIL(load(&waiting) == N);
    oc_sleep(20 * MS);  // until the last one waits, too
    __atomic_store_n(&open_gate, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < N; i++) finished(tasks[i], 0);
    finished(the_gate, 0);
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    int sure = stats.under_ocrun && stats.workers == 1;
    // Not one by one: every so many choices are somebody else's turn.
    if (sure) CHECK(position[2] < position[1] && position[1] < position[0]);

    // Two that compute: the urgent one gets the lion's share, the other its turns.
    stop_at = 20000000;
    oc_task* late = oc_task_create(counts, (void*)0, 1);
    oc_task* soon = oc_task_create(counts, (void*)1, -1);
    finished(late, 0);
    finished(soon, 0);
    if (sure) CHECK(load(&counted[1]) >= stop_at && load(&counted[0]) < stop_at / 2);
    api_end();
    say("ok");
    return 0;
}
