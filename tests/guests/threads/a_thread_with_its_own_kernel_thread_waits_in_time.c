// a_thread_with_its_own_kernel_thread_waits_in_time.c - a thread that unshared its directory waits with a time limit, after another
// thread's vfork child has kept that one in the kernel.
#include "check.h"

static sem_t never, over;

static void* wait_for_it(void* arg) {
    CHECK_OK(sem_wait(&over));
    return arg;
}
static void* wait_in_time(void* arg) {
    CHECK_OK(unshare(CLONE_FS));
    sleep_ms(200);
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(50));
    CHECK_ERR(sem_timedwait(&never, &t), ETIMEDOUT);
    CHECK_OK(sem_post(&over));
    return arg;
}

int main(void) {
    CHECK_OK(sem_init(&never, 0, 0));
    CHECK_OK(sem_init(&over, 0, 0));
    pthread_t a = start(wait_in_time, NULL), b = start(wait_for_it, NULL);
    sleep_ms(5);
    pid_t child = vfork();
    CHECK_OK(child);
    if (child == 0) {
        usleep(100000);
        _exit(0);
    }
    finish(a);
    finish(b);
    CHECK_EXIT(child, 0);
    say("ok");
}
