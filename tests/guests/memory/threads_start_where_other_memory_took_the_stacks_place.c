// threads_start_where_other_memory_took_the_stacks_place.c - a program reserved most of the address space, as ThreadSanitizer does, before
// its first thread: that starts all the same.
#include "check.h"

static void* nothing(void* arg) { return arg; }

int main(void) {
    void* low = mmap((void*)0x340000000000, 0x210000000000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK_EQ(low, 0x340000000000);
    for (int i = 0; i < 50; i++) finish(start(nothing, NULL));
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    pthread_t t;
    CHECK_0(pthread_create(&t, &a, nothing, NULL));
    finish(t);
    say("ok");
}
