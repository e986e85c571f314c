// the_pool_is_bounded_and_shrinks.c - tasks_max at once, tasks_min kept, tasks that block do not starve the others
// TEST: libs=ocrun_shared
#include "api.h"

static int at_once, most, pipes[2];
static void* counts(void* unused) {
    int now = add(&at_once, 1), before = load(&most);
    while (now > before && !__atomic_compare_exchange_n(&most, &before, now, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    oc_sleep(MS / 2);
    add(&at_once, -1);
    return NULL;
}
static void* blocks(void* unused) {
    char byte;
    CHECK_EQ(read(pipes[0], &byte, 1), 1);
    return NULL;
}
static void* nothing(void* unused) { return NULL; }

static oc_stats stats(void) {
    oc_stats s = {.size = sizeof s};
    CHECK_EQ(oc_get_stats(&s), 0);
    return s;
}

int main(void) {
    oc_config config = api_config();
    config.tasks_min = 2;
    config.tasks_max = 4;
    config.keep_alive_ns = 5 * MS;
    CHECK_EQ(oc_init(&config), 0);
    enum { N = 200 };
    oc_task* tasks[N];
    for (int i = 0; i < N; i++) tasks[i] = oc_task_create(counts, NULL, 0);
    for (int i = 0; i < N; i++) finished(tasks[i], 0);
    CHECK_EQ(load(&most), 4);
    CHECK_EQ(stats().most_pooled, 4);
    CHECK_EQ(stats().created, N);
    WAIT_UNTIL(stats().pooled == 2);
    WAIT_UNTIL(stats().under_way == 0);
    api_end();

    config = api_config();
    config.mode = OC_MODE_THREADS;  // where it is already
    CHECK_EQ(oc_init(&config), 0);
    CHECK_OK(pipe(pipes));
    for (int i = 0; i < N; i++) tasks[i] = oc_task_create(blocks, NULL, 0);
    for (int i = 0; i < 1000; i++) finished(oc_task_create(nothing, NULL, 0), 0);
    for (int i = 0; i < N; i++) CHECK_EQ(write(pipes[1], "x", 1), 1);
    for (int i = 0; i < N; i++) finished(tasks[i], 0);
    api_end();
    config.tasks_min = 5;
    config.tasks_max = 4;
    CHECK_EQ(oc_init(&config), -EINVAL);
    config.tasks_min = 0;
    config.mode = 9;
    CHECK_EQ(oc_init(&config), -EINVAL);
    config.mode = OC_MODE_THREADS;
    config.cancel_signal = SIGTERM;
    CHECK_EQ(oc_init(&config), -EINVAL);
    say("ok");
    return 0;
}
