// stop_races_with_creators_and_waiters.c - the framework is stopped and started again and again while threads create and cancel
// tasks that wait for ever: every task is either refused or ends, and its ending is heard of once
// TEST: libs=ocrun_shared args="60" timeout=60
#include <errno.h>

#include "api.h"

enum { CREATORS = 3, KEPT = 8 };
static int never[2], over, made, ended, refused;

static void ends(void* unused) {
    (void)unused;
    add(&ended, 1);
}
static void* waits(void* kind) {
    char byte;
    switch ((long)kind % 3) {
        case 0: read(never[0], &byte, 1); break;
        case 1: oc_sleep(OC_FOREVER); break;
        case 2: oc_sleep(20000); break;
    }
    return NULL;
}
static void* creates(void* unused) {
    oc_task* kept[KEPT] = {0};
    for (long i = 0; !load(&over); i++) {
        oc_task** slot = &kept[i % KEPT];
        if (*slot) {
            CHECK_EQ(oc_task_cancel(*slot), 0);
            if (i % 2) {
                int r = oc_task_join(*slot, NULL);
                CHECK(r == -ECANCELED || r == 0);
            }
            oc_task_drop(*slot);
        }
        oc_task_attributes a = {sizeof a, 0, i % 5 - 2, ends};
        *slot = oc_task_create_with(waits, (void*)i, &a);
        if (*slot) {
            add(&made, 1);
            continue;
        }
        CHECK(errno == ESHUTDOWN || errno == ENODEV);
        add(&refused, 1);
        // It waits for the tasks that are under way: these.
        for (int k = 0; k < KEPT; k++) {
            if (!kept[k]) continue;
            CHECK_EQ(oc_task_cancel(kept[k]), 0);
            oc_task_drop(kept[k]);
            kept[k] = NULL;
        }
        sched_yield();
    }
    for (int k = 0; k < KEPT; k++) {
        if (!kept[k]) continue;
        CHECK_EQ(oc_task_cancel(kept[k]), 0);
        oc_task_drop(kept[k]);
    }
    return unused;
}

int main(int argc, char** argv) {
    (void)argc;
    CHECK_OK(pipe(never));
    api_start();
    pthread_t threads[CREATORS];
    for (int i = 0; i < CREATORS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, creates, NULL), 0);
    for (int rounds = atoi(argv[1]); rounds; rounds--) {
        usleep(500);
        int r;
        while ((r = oc_stop(rounds % 3 ? 200000 : OC_FOREVER)) == -ETIMEDOUT) {}
        CHECK_EQ(r, 0);
        CHECK_EQ(oc_stop(0), -EINVAL);
        api_start();
    }
    __atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CREATORS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    api_end();
    CHECK_EQ(load(&ended), load(&made));
    say("ok");
    return 0;
}
