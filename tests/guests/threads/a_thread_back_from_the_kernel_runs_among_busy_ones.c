// a_thread_back_from_the_kernel_runs_among_busy_ones.c - a thread whose worker was given away while it was in the kernel gets its
// turn again although the others compute without ever making a call.
// TEST: timeout=30
#include "check.h"

#define BUSY 4
static volatile int stop;
static volatile unsigned long counts[BUSY];

static void* compute(void* arg) {
    while (!stop) counts[(long)arg]++;
    return NULL;
}

int main(void) {
    pthread_t t[BUSY];
    for (long i = 0; i < BUSY; i++) t[i] = start(compute, (void*)i);
    for (int round = 0; round < 20; round++) {
        // a child that lives for a while in this very memory: the worker waits in the kernel for it
        pid_t pid = vfork();
        if (pid == 0) {
            struct timespec nap = {0, 5000000};
            syscall(SYS_nanosleep, &nap, NULL);
            _exit(round);
        }
        int status;
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(WEXITSTATUS(status), round);
    }
    stop = 1;
    for (int i = 0; i < BUSY; i++) finish(t[i]);
    say("ok");
}
