// a_child_of_a_fork_starts_afresh.c - fork from main and from a task: the child has no tasks, and may have its own
// TEST: libs=ocrun_shared
#include "api.h"

static void* answers(void* n) {
    oc_sleep(MS / 2);
    return n;
}
static void* forks(void* unused) {
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        CHECK(!oc_task_create(answers, NULL, 0));
        CHECK_EQ(errno, ENODEV);
        api_start();
        for (long i = 0; i < 50; i++) CHECK_EQ((long)finished(oc_task_create(answers, (void*)i, 0), 0), i);
        _exit(7);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    return NULL;
}

int main(void) {
    api_start();
    oc_task* other = oc_task_create(answers, (void*)1, 0);
    forks(NULL);
    finished(oc_task_create(forks, NULL, 0), 0);
    CHECK_EQ((long)finished(other, 0), 1);
    api_end();
    say("ok");
    return 0;
}
