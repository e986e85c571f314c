// locals_belong_to_tasks_and_threads.c - oc_local_*: own values, destructors at the end, however it comes
// TEST: libs=ocrun_shared
#include "api.h"

static oc_local key, plain;
static int destroyed;
static void destroy(void* value) {
    CHECK((long)value > 0);
    add(&destroyed, 1);
}
static void* uses(void* number) {
    CHECK(!oc_local_get(key));  // nothing of the task before
    CHECK_EQ(oc_local_set(key, number), 0);
    CHECK_EQ(oc_local_set(plain, &destroyed), 0);
    for (int i = 0; i < 5; i++) {
        oc_yield();
        CHECK_EQ((long)oc_local_get(key), (long)number);
    }
    if ((long)number % 3 == 1) oc_sleep(OC_FOREVER);  // to be cancelled
    if ((long)number % 3 == 2) *(volatile int*)8 = 0;
    return NULL;
}
static void* in_thread(void* number) {
    CHECK(!oc_local_get(key));
    CHECK_EQ(oc_local_set(key, number), 0);
    CHECK_EQ((long)oc_local_get(key), (long)number);
    return NULL;
}

int main(void) {
    api_start();
    CHECK_EQ(oc_local_create(&key, destroy), 0);
    CHECK_EQ(oc_local_create(&plain, NULL), 0);
    enum { N = 90 };
    oc_task* tasks[N];
    for (long i = 0; i < N; i++) tasks[i] = oc_task_create(uses, (void*)(i + 1), 0);
    for (long i = 0; i < N; i++) {
        int kind = (i + 1) % 3;
        if (kind == 1) {
            WAIT_UNTIL(oc_task_state(tasks[i]) == OC_SUSPENDED);
            oc_task_cancel(tasks[i]);
        }
        finished(tasks[i], kind == 0 ? 0 : kind == 1 ? -ECANCELED : -EFAULT);
    }
    CHECK_EQ(load(&destroyed), N);
    pthread_t t[4];
    for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, in_thread, (void*)(i + 1));
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    CHECK_EQ(load(&destroyed), N + 4);

    CHECK_EQ(oc_local_set(key, (void*)5), 0);
    oc_local_delete(key);
    CHECK_EQ(oc_local_set(key, (void*)6), -EINVAL);
    CHECK(!oc_local_get(key));
    oc_local many[2000];
    int n = 0;
    while (n < 2000 && oc_local_create(&many[n], NULL) == 0) {
        CHECK(!oc_local_get(many[n]));  // also where an older key had its number
        n++;
    }
    CHECK_EQ(n, 1023);
    CHECK_EQ(oc_local_create(&key, NULL), -EAGAIN);
    while (n) oc_local_delete(many[--n]);
    api_end();
    say("ok");
    return 0;
}
