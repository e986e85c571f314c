// TEST: native=skip timeout=100 link=dynamic,musl configs=w2
// More threads than the kernel has mappings for wait at once; each has an id of its own, above the kernel's and below 2^30;
// all are woken, leave in no order, and their stacks serve again.
#include "../check.h"

#define N 40000
static pthread_t t[N];
static int ids[N];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int there, released;

static void* wait_for_release(void* arg) {
    long i = (long)arg;
    ids[i] = (int)syscall(SYS_gettid);
    pthread_mutex_lock(&mutex);
    there++;
    while (!released) pthread_cond_wait(&cond, &mutex);
    there--;
    pthread_mutex_unlock(&mutex);
    return arg;
}

static int by_number(const void* a, const void* b) { return *(const int*)a - *(const int*)b; }

int main(void) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    CHECK_EQ(pthread_attr_setstacksize(&attr, 64 * 1024), 0);
    for (int round = 0; round < 2; round++) {
        released = 0;
        for (long i = 0; i < N; i++) {
            int r = pthread_create(&t[i], &attr, wait_for_release, (void*)i);
            if (r) check_failed(__FILE_NAME__, __LINE__, "thread %ld: %s", i, strerror(r));
        }
        for (;;) {
            pthread_mutex_lock(&mutex);
            int all = there == N;
            if (all) released = 1;
            if (all) pthread_cond_broadcast(&cond);
            pthread_mutex_unlock(&mutex);
            if (all) break;
            sched_yield();
        }
        for (long i = 0, k = 0; i < N; i++, k = (k + 15013) % N) {  // every thread once, in jumps
            void* result;
            CHECK_EQ(pthread_join(t[k], &result), 0);
            CHECK_EQ((long)result, k);
        }
        CHECK_EQ(there, 0);
        qsort(ids, N, sizeof ids[0], by_number);
        CHECK(ids[0] >= 1 << 22 && ids[N - 1] < 1 << 30);
        for (int i = 1; i < N; i++) CHECK(ids[i] != ids[i - 1]);
    }
    return 0;
}
