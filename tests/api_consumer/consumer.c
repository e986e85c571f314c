// consumer.c - creates and joins tasks, and says where it ran
#include <ocrun/ocrun.h>
#include <stdio.h>

static void* twice(void* n) {
    oc_sleep(100000);
    return (void*)((long)n * 2);
}

int main(void) {
    oc_config config = OC_CONFIG_INIT;
    int r = oc_init(&config);
    if (r) return printf("oc_init: %d\n", r), 1;
    long sum = 0;
    oc_task* tasks[100];
    for (long i = 0; i < 100; i++) tasks[i] = oc_task_create(twice, (void*)i, 0);
    for (int i = 0; i < 100; i++) {
        void* value;
        if (oc_task_join(tasks[i], &value)) return 2;
        sum += (long)value;
        oc_task_drop(tasks[i]);
    }
    oc_stats stats = {.size = sizeof stats};
    oc_get_stats(&stats);
    printf("sum %ld, under ocrun: %u\n", sum, stats.under_ocrun);
    return oc_stop(OC_FOREVER) ? 3 : 0;
}
