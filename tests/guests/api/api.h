// api.h - what the guests of libocrun share: they run on plain threads, under ocrun, and started again under it by oc_init
//
// OC_API_MODE=restart in the environment (tests/run_guests.py) makes a native start restart itself.
#pragma once
#include <ocrun/ocrun.h>

#include "check.h"

__attribute__((unused)) static oc_config api_config(void) {
    oc_config config = OC_CONFIG_INIT;
    const char* mode = getenv("OC_API_MODE");
    config.mode = mode && !strcmp(mode, "restart") ? OC_MODE_OCRUN : OC_MODE_THREADS;
    return config;
}

__attribute__((unused)) static void api_start(void) {
    oc_config config = api_config();
    CHECK_EQ(oc_init(&config), 0);
}

__attribute__((unused)) static void api_end(void) { CHECK_EQ(oc_stop(OC_FOREVER), 0); }

#define MS 1000000ull

// until somebody else has done it; a task may be cancelled here
#define WAIT_UNTIL(condition) \
    do {                      \
        oc_sleep(MS / 5);     \
    } while (!(condition))

__attribute__((unused)) static int load(const int* word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
__attribute__((unused)) static int add(int* word, int n) { return __atomic_add_fetch(word, n, __ATOMIC_SEQ_CST); }

// a task that runs out of stack (`volatile`: no compiler turns it into a loop)
__attribute__((unused)) static int (*volatile api_again)(int);
__attribute__((unused)) static int api_deeper(int n) {
    volatile char room[2000];
    room[7] = (char)n;
    return api_again(n + 1) + room[7];
}
__attribute__((unused)) static void* overflows(void* argument) {
    (void)argument;
    api_again = api_deeper;
    return (void*)(long)api_deeper(0);
}

// joined, its result is as said, and the handle is given back
__attribute__((unused)) static void* finished(oc_task* task, int result) {
    void* value = (void*)-1;
    CHECK(task);
    CHECK_EQ(oc_task_join(task, &value), result);
    oc_task_drop(task);
    return value;
}
