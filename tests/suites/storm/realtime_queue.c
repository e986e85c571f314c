// thousands of queued real-time signals arrive once each, in order, to the process and to threads
#include "storm.h"
enum { kThreads = 8 };
static int each;
static atomic_int total;
static _Thread_local int expect[3];
static atomic_int bad;
static void take(int sig, siginfo_t* info, void* context) {
    (void)context;
    int k = sig - SIGRTMIN - 1;
    if (info->si_code != SI_QUEUE) return;
    if (info->si_value.sival_int != expect[k]) atomic_store(&bad, 1);
    expect[k] = info->si_value.sival_int + 1;
    atomic_fetch_add(&total, 1);
}
static void* receives(void* p) {
    sigset_t set;
    sigemptyset(&set);
    for (int k = 0; k < 3; k++) sigaddset(&set, SIGRTMIN + 1 + k);
    sem_post(p);
    int mine = 3 * each;
    // First by sigtimedwait, then by opening the mask.
    for (int i = 0; i < each / 2; i++) {
        siginfo_t info;
        struct timespec t = {10, 0};
        int sig;
        while ((sig = sigtimedwait(&set, &info, &t)) < 0) CHECK(errno == EINTR);
        take(sig, &info, NULL);
        mine--;
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (expect[0] + expect[1] + expect[2] < 3 * each) usleep(1000);
    (void)mine;
    return NULL;
}
int main(int argc, char** argv) {
    each = times(argc, argv, 1000);
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = take;
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    sigset_t set;
    sigemptyset(&set);
    for (int k = 0; k < 3; k++) {
        sigaddset(&set, SIGRTMIN + 1 + k);
        sigaction(SIGRTMIN + 1 + k, &a, NULL);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    // single-threaded: queue, then open the mask
    for (int i = 0; i < each; i++)
        for (int k = 0; k < 3; k++) CHECK(sigqueue(getpid(), SIGRTMIN + 1 + k, (union sigval){i}) == 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    CHECK(atomic_load(&total) == 3 * each && !atomic_load(&bad));
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    atomic_store(&total, 0);
    pthread_t t[kThreads];
    sem_t ready;
    sem_init(&ready, 0, 0);
    for (int i = 0; i < kThreads; i++) t[i] = start(receives, &ready);
    for (int i = 0; i < kThreads; i++) sem_wait(&ready);
    for (int i = 0; i < each; i++)
        for (int k = 0; k < 3; k++)
            for (int n = 0; n < kThreads; n++) {
                int r;
                while ((r = pthread_sigqueue(t[n], SIGRTMIN + 1 + k, (union sigval){i})) == EAGAIN) usleep(1000);
                CHECK(r == 0);
            }
    for (int n = 0; n < kThreads; n++) finish(t[n]);
    CHECK(atomic_load(&total) == kThreads * 3 * each && !atomic_load(&bad));
    puts("ok");
    return 0;
}
