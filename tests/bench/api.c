// api.c - tasks of libocrun that do nothing: created and joined one by one; submitted in a batch
#include <ocrun/ocrun.h>

#include "bench.h"

enum { BATCH = 1000 };

static void* nothing(void* argument) { return argument; }

static void create_join(long n) {
    while (n--) {
        oc_task* t = oc_task_create(nothing, NULL, 0);
        oc_task_join(t, NULL);
        oc_task_drop(t);
    }
}

// ns for one submission, the joins between the batches not counted
static double submit(void) {
    static oc_task* tasks[BATCH];
    double took = 0;
    long n = 0;
    for (; took < 1e8; n += BATCH) {
        double begin = now_ns();
        for (int i = 0; i < BATCH; i++) tasks[i] = oc_task_create(nothing, NULL, 0);
        took += now_ns() - begin;
        for (int i = 0; i < BATCH; i++) {
            oc_task_join(tasks[i], NULL);
            oc_task_drop(tasks[i]);
        }
    }
    return took / (double)n;
}

int main(int argc, char** argv) {
    oc_config config = OC_CONFIG_INIT;
    config.mode = OC_MODE_THREADS;  // natively; under ocrun it is there already
    must(oc_init(&config) == 0, "oc_init");
    if (chosen(argc, argv, "api_create_join")) result("api_create_join", per_call(create_join), "ns");
    if (chosen(argc, argv, "api_submit")) result("api_submit", submit(), "ns");
    oc_stop(OC_FOREVER);
    return 0;
}
