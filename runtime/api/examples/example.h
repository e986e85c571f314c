// example.h - what the examples share: start, and an end with a message when something is wrong
#pragma once
#include <errno.h>
#include <ocrun/ocrun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(condition)                                                                          \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: not true: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            exit(1);                                                                             \
        }                                                                                        \
    } while (0)

// Under ocrun, restarted under it when one is found, else on plain threads.
static inline void start(void) {
    oc_config config = OC_CONFIG_INIT;
    config.mode = OC_MODE_PREFER_OCRUN;
    MUST(oc_init(&config) == 0);
}
static inline void finish(void) {
    MUST(oc_stop(OC_FOREVER) == 0);
    puts("done");
}
static inline void* join(oc_task* task) {
    void* value = NULL;
    MUST(task && oc_task_join(task, &value) == 0);
    oc_task_drop(task);
    return value;
}
