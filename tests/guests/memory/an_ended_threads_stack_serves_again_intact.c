// TEST: timeout=120
// What a thread leaves on its stack never takes from the next thread that gets the stack: deep frames, big locals and
// thread-local storage are whole while threads come and go, some with calls between the madvise and the exit of their own.
#include "../check.h"

#define DEEP (512 * 1024)

static void* deep(void* arg) {
    volatile char big[DEEP];
    long seed = (long)arg;
    for (long i = 0; i < DEEP; i += 512) big[i] = (char)(seed + i / 512);
    for (int round = 0; round < 3; round++) {
        sched_yield();
        if (round == 1) usleep((useconds_t)(seed % 7) * 500);
        for (long i = 0; i < DEEP; i += 512) CHECK(big[i] == (char)(seed + i / 512));
    }
    return arg;
}

// gives its own unused stack back, as a libc does, and goes on
static void* trim_and_go_on(void* arg) {
    volatile char here[4096];
    here[0] = 1;
    deep(arg);
    char* low = (char*)(((uintptr_t)here - DEEP) & ~4095ul);
    CHECK_OK(madvise(low, DEEP - 65536, MADV_DONTNEED));
    deep(arg);  // before any other call would tell that it goes on
    CHECK(here[0] == 1);
    CHECK_OK(madvise(low, DEEP - 65536, MADV_DONTNEED));
    syscall(SYS_getpid);
    syscall(SYS_gettid);
    return deep(arg);
}

int main(void) {
    for (long round = 0; round < 150; round++) {
        pthread_t t[8];
        for (long i = 0; i < 8; i++) CHECK_EQ(pthread_create(&t[i], NULL, i % 4 == 3 ? trim_and_go_on : deep, (void*)(round * 8 + i)), 0);
        for (long i = 0; i < 8; i++) {
            void* result;
            CHECK_EQ(pthread_join(t[i], &result), 0);
            CHECK_EQ((long)result, round * 8 + i);
        }
        if (round % 50 == 49) usleep(20000);
    }
    return 0;
}
