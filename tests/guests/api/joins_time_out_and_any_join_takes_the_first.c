// joins_time_out_and_any_join_takes_the_first.c - a join that times out leaves the task alone; any-join does not poll
// TEST: libs=ocrun_shared
#include "api.h"

static void* waits_for(void* pipe_end) {
    char byte;
    CHECK_EQ(read((int)(long)pipe_end, &byte, 1), 1);
    return (void*)(long)byte;
}
static void* releases(void* pipe_end) {
    oc_sleep(5 * MS);
    CHECK_EQ(write((int)(long)pipe_end, "x", 1), 1);
    return NULL;
}

int main(void) {
    api_start();
    enum { N = 50 };
    int pipes[N][2];
    oc_task* tasks[N];
    for (int i = 0; i < N; i++) {
        CHECK_OK(pipe(pipes[i]));
        tasks[i] = oc_task_create(waits_for, (void*)(long)pipes[i][0], 0);
    }
    CHECK_EQ(oc_task_timeout_join(tasks[3], 0, NULL), -ETIMEDOUT);
    CHECK_EQ(oc_task_timeout_join(tasks[3], 3 * MS, NULL), -ETIMEDOUT);
    CHECK_EQ(oc_task_any_join(tasks, N, 3 * MS), -ETIMEDOUT);
    CHECK_EQ(oc_task_any_join(tasks, 0, 0), -EINVAL);
    // in an order of our own; the others go on
    for (int i = 0; i < N; i++) {
        int next = (i * 7 + 3) % N;
        oc_task* other = oc_task_create(releases, (void*)(long)pipes[next][1], 0);
        oc_task* left[N];
        int numbers[N], n = 0;
        for (int k = i; k < N; k++) {
            numbers[n] = (k * 7 + 3) % N;
            left[n] = tasks[numbers[n]];
            n++;
        }
        CHECK_EQ(numbers[oc_task_any_join(left, n, OC_FOREVER)], next);
        CHECK_EQ((long)finished(tasks[next], 0), 'x');
        finished(other, 0);
    }
    api_end();
    say("ok");
    return 0;
}
