// a_creator_may_wait_natively_for_its_task.c - whoever creates a task and then waits in a call that is left to the kernel, for what
// the task does, is not waited for by the task's start
// TEST: libs=ocrun_shared native=skip ocrun="-c ${ROOT}/tests/guests/threads/native_waits.json" needs=policy restart=skip
#include <sys/syscall.h>

#include "api.h"

static int ends[2];
static void* writes(void* n) {
    CHECK_EQ(write(ends[1], "x", 1), 1);
    return n;
}

int main(void) {
    api_start();
    CHECK_OK(pipe(ends));
    for (long i = 0; i < 40; i++) {
        char byte = 0;
        oc_task* t = oc_task_create(writes, (void*)i, 0);
        CHECK_EQ(syscall(SYS_read, ends[0], &byte, 1L), 1);
        CHECK_EQ(byte, 'x');
        CHECK_EQ((long)finished(t, 0), i);
    }
    api_end();
    say("ok");
    return 0;
}
