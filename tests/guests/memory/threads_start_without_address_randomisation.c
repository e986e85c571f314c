// Threads start and end as ever in a program whose addresses are not randomised (setarch -R, gdb).
#include "../check.h"

#include <sys/personality.h>

static void* add(void* n) {
    (*(int*)n)++;
    return NULL;
}

int main(int argc, char** argv) {
    (void)argc;
    int persona = personality(0xffffffff);
    CHECK(persona != -1);
    if (!(persona & ADDR_NO_RANDOMIZE)) {
        CHECK(personality((unsigned)persona | ADDR_NO_RANDOMIZE) == persona);
        execv("/proc/self/exe", argv);
        CHECK(!"execv");
    }
    int n = 0;
    for (int i = 0; i < 100; i++) {
        pthread_t one, other;
        CHECK(pthread_create(&one, NULL, add, &n) == 0);
        CHECK(pthread_join(one, NULL) == 0);
        CHECK(pthread_create(&other, NULL, add, &n) == 0);
        CHECK(pthread_join(other, NULL) == 0);
    }
    CHECK(n == 200);
    return 0;
}
