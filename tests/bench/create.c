// create.c - one thread after the other, created and joined
#include "bench.h"

static void* nothing(void* arg) { return arg; }

static void create_join(long n) {
    while (n--) {
        pthread_t t;
        must(pthread_create(&t, NULL, nothing, NULL) == 0, "pthread_create");
        pthread_join(t, NULL);
    }
}

int main(void) {
    result("create_join", per_call(create_join), "ns");
    return 0;
}
