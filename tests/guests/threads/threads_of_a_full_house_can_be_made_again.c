// threads_of_a_full_house_can_be_made_again.c - 1,000 threads alive at once, three times, all memory comes back.
#include "check.h"

enum { N = 1000 };
static pthread_t t[N];
static pthread_barrier_t barrier;

static void* meet(void* arg) {
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 32 * 1024);
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) CHECK_0(pthread_create(&t[i], &attr, meet, NULL));
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < N; i++) finish(t[i]);
    }
    say("ok");
}
