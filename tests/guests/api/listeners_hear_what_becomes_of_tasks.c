// listeners_hear_what_becomes_of_tasks.c - created, running, suspended, ended: in this order and with the error
// TEST: libs=ocrun_shared
#include "api.h"

enum { N = 40, MOST = 64 };
static struct {
    uint64_t id;
    int n;
    oc_event events[MOST];
} heard[N];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void listen_to(void* argument, const oc_event* event) {
    CHECK(argument == heard);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < N; i++) {
        if (heard[i].id && heard[i].id != event->task) continue;
        heard[i].id = event->task;
        CHECK(heard[i].n < MOST);
        heard[i].events[heard[i].n++] = *event;
        break;
    }
    pthread_mutex_unlock(&lock);
}
static void* sleeps(void* kind) {
    oc_sleep(MS);
    if ((long)kind == 1) oc_sleep(OC_FOREVER);
    if ((long)kind == 2) *(volatile int*)8 = 0;
    return NULL;
}

static int pipes[2], calls;
static void hears_calls(void* argument, const oc_event* event) {
    if (event->now == OC_SYSCALL && event->call == SYS_read) add(&calls, 1);
    if (event->before == OC_SYSCALL && event->now == OC_RUNNING) add(&calls, 1000);
}
static void* reads(void* unused) {
    char byte;
    CHECK_EQ(read(pipes[0], &byte, 1), 1);
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    while (stats.under_ocrun && load(&calls) < 1000) {
    }
    return NULL;
}

int main(void) {
    api_start();
    CHECK_EQ(oc_listener_add(NULL, NULL), -EINVAL);
    CHECK_EQ(oc_listener_add(listen_to, heard), 0);
    oc_task* tasks[N];
    for (long i = 0; i < N; i++) tasks[i] = oc_task_create(sleeps, (void*)(i % 3), 0);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 1) {
            while (oc_task_state(tasks[i]) != OC_SUSPENDED) oc_sleep(MS / 10);
            oc_sleep(3 * MS);
            oc_task_cancel(tasks[i]);
        }
        finished(tasks[i], i % 3 == 0 ? 0 : i % 3 == 1 ? -ECANCELED : -EFAULT);
    }
    CHECK_EQ(oc_listener_remove(listen_to, heard), 0);
    CHECK_EQ(oc_listener_remove(listen_to, heard), -ENOENT);
    finished(oc_task_create(sleeps, (void*)0, 0), 0);  // not heard
    for (int i = 0; i < N; i++) {
        const oc_event* e = heard[i].events;
        int n = heard[i].n, suspended = 0;
        CHECK(n >= 4);
        CHECK(e[0].before == 0 && e[0].now == OC_READY);
        CHECK(e[1].before == OC_READY && e[1].now == OC_RUNNING);
        for (int k = 1; k < n; k++) {
            CHECK_EQ(e[k].before, e[k - 1].now);
            CHECK(e[k].at_ns >= e[k - 1].at_ns);
            suspended += e[k].now == OC_SUSPENDED;
        }
        CHECK(suspended >= 1);
        int end = e[n - 1].now;
        CHECK_EQ(e[n - 1].error, end == OC_COMPLETE ? 0 : end == OC_CANCELLED ? -ECANCELED : -EFAULT);
        CHECK(end >= OC_COMPLETE);
    }

    // Waits in system calls are known under ocrun.
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    CHECK_OK(pipe(pipes));
    CHECK_EQ(oc_listener_add(hears_calls, NULL), 0);
    oc_task* t = oc_task_create(reads, NULL, 0);
    if (stats.under_ocrun) WAIT_UNTIL(oc_task_state(t) == OC_SYSCALL && load(&calls) == 1);
    CHECK_EQ(write(pipes[1], "x", 1), 1);
    finished(t, 0);
    CHECK_EQ(oc_listener_remove(hears_calls, NULL), 0);
    api_end();
    say("ok");
    return 0;
}
