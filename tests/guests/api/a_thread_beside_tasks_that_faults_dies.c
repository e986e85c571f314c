// a_thread_beside_tasks_that_faults_dies.c - containment is for tasks: an ordinary thread's fault is what it is on Linux
// TEST: libs=ocrun_shared status=SIGSEGV
#include "api.h"

__attribute__((noinline)) static void* faults(void* place) {
    *(volatile int*)place = 1;
    return NULL;
}

int main(void) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    api_start();
    finished(oc_task_create(faults, NULL, 0), -EFAULT);
    say("the task is contained");
    pthread_t t;
    pthread_create(&t, NULL, faults, NULL);
    pthread_join(t, NULL);
    say("the thread is not: this is never said");
    return 0;
}
