// hundreds of threads at a time, created, joined, detached, cancelled
#include "storm.h"
enum { kThreads = 300 };
static atomic_long ran;
static sem_t ended;
static void* short_life(void* p) { atomic_fetch_add(&ran, 1); return p; }
static void* detached(void* p) { (void)p; atomic_fetch_add(&ran, 1); sem_post(&ended); return NULL; }
static void* cancelled(void* p) { (void)p; atomic_fetch_add(&ran, 1); for (;;) pause(); return NULL; }
static void* parent(void* p) {
    pthread_t t[3];
    for (int i = 0; i < 3; i++) t[i] = start(short_life, p);
    for (int i = 0; i < 3; i++) {
        void* r;
        CHECK(pthread_join(t[i], &r) == 0 && r == p);
    }
    return p;
}
int main(int argc, char** argv) {
    sem_init(&ended, 0, 0);
    long expected = 0;
    for (int round = times(argc, argv, 5); round; round--) {
        pthread_t t[kThreads];
        for (int i = 0; i < kThreads; i++) t[i] = start(i % 3 == 0 ? short_life : i % 3 == 1 ? parent : cancelled, &t[i]);
        for (int i = 0; i < 50; i++) pthread_detach(start(detached, NULL));
        for (int i = 0; i < kThreads; i++) {
            void* r;
            if (i % 3 == 2) CHECK(pthread_cancel(t[i]) == 0);
            CHECK(pthread_join(t[i], &r) == 0);
            CHECK(r == (i % 3 == 2 ? PTHREAD_CANCELED : (void*)&t[i]) );
        }
        for (int i = 0; i < 50; i++)
            while (sem_wait(&ended)) CHECK(errno == EINTR);
        expected += kThreads / 3 * 4 + 50;
    }
    // A cancelled thread may never have run.
    CHECK(atomic_load(&ran) >= expected);
    puts("ok");
    return 0;
}
