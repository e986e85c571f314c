// scheduling_calls_answer_for_each_thread.c - policy, affinity, getcpu, nice of a thread; errors for wrong ids.
#include "check.h"

static void* look(void* arg) {
    cpu_set_t set, back;
    struct sched_param param = {.sched_priority = 0};
    unsigned cpu, node;
    CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);
    CHECK_EQ(sched_getscheduler(gettid()), SCHED_OTHER);
    CHECK_OK(sched_getparam(gettid(), &param));
    CHECK_EQ(param.sched_priority, 0);
    CHECK_OK(sched_setscheduler(0, SCHED_BATCH, &param));
    CHECK_EQ(sched_getscheduler(gettid()), SCHED_BATCH);
    CHECK_OK(sched_getaffinity(gettid(), sizeof set, &set));
    CHECK(CPU_COUNT(&set) >= 1);
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&back);
    CPU_SET(first, &back);
    CHECK_0(pthread_setaffinity_np(pthread_self(), sizeof back, &back));
    CPU_ZERO(&back);
    CHECK_0(pthread_getaffinity_np(pthread_self(), sizeof back, &back));
    CHECK(CPU_COUNT(&back) == 1 && CPU_ISSET(first, &back));
    CHECK_OK(getcpu(&cpu, &node));
    CHECK_EQ(cpu, first);
    CHECK_OK(setpriority(PRIO_PROCESS, gettid(), 5));
    CHECK_EQ(getpriority(PRIO_PROCESS, gettid()), 5);
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), 5);
    return NULL;
}

int main(void) {
    cpu_set_t before, after;
    int nice_before = getpriority(PRIO_PROCESS, 0);
    CHECK_OK(sched_getaffinity(0, sizeof before, &before));
    finish(start(look, NULL));
    CHECK_EQ(sched_getscheduler(0), SCHED_OTHER);  // nothing of it belongs to this thread
    CHECK_OK(sched_getaffinity(0, sizeof after, &after));
    CHECK(CPU_EQUAL(&before, &after));
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), nice_before);
    CPU_ZERO(&after);
    CHECK_ERR(sched_setaffinity(0, sizeof after, &after), EINVAL);
    CHECK_ERR(sched_getscheduler(-1), EINVAL);
    CHECK_ERR(sched_getscheduler(0x3ffffff0), ESRCH);
    CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
    for (int i = 0; i < 100; i++) CHECK_OK(sched_yield());
    say("ok");
}
