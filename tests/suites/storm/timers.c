// POSIX timers of every kind, interval timers and timer descriptors fire beside busy and waiting threads
#include "storm.h"
#include <sys/timerfd.h>
static atomic_long by_signal, by_thread, to_thread, alarms;
static void count(int sig, siginfo_t* info, void* c) { (void)sig, (void)c; if (info->si_code == SI_TIMER) atomic_fetch_add((atomic_long*)info->si_value.sival_ptr, 1); }
static void alarmed(int sig) { (void)sig; atomic_fetch_add(&alarms, 1); }
static void called(union sigval v) { atomic_fetch_add((atomic_long*)v.sival_ptr, 1); }
static atomic_int stop;
static void* busy(void* p) { while (!atomic_load(&stop)) {} return p; }
static void* parks(void* p) { while (!atomic_load(&stop)) usleep(700); return p; }
static pid_t own_tid;
static sem_t ready;
static void* target(void* p) { own_tid = (pid_t)syscall(SYS_gettid); sem_post(&ready); while (!atomic_load(&stop)) { pause(); } return p; }
int main(int argc, char** argv) {
    int wanted = times(argc, argv, 50);
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = count;
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGRTMIN + 4, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    on_signal(SIGALRM, alarmed, SA_RESTART);
    sem_init(&ready, 0, 0);
    pthread_t b[2], q[10], g = start(target, NULL);
    for (int i = 0; i < 2; i++) b[i] = start(busy, NULL);
    for (int i = 0; i < 10; i++) q[i] = start(parks, NULL);
    while (sem_wait(&ready)) {}
    timer_t t[6];
    struct itimerspec every = {{0, 2000000}, {0, 2000000}};
    for (int i = 0; i < 6; i++) {
        struct sigevent e;
        memset(&e, 0, sizeof e);
        e.sigev_notify = i % 3 == 0 ? SIGEV_SIGNAL : i % 3 == 1 ? SIGEV_THREAD : SIGEV_THREAD_ID;
        e.sigev_signo = i < 3 ? SIGRTMIN + 4 : SIGUSR1;
        e.sigev_value.sival_ptr = i % 3 == 0 ? &by_signal : i % 3 == 1 ? &by_thread : &to_thread;
        if (i % 3 == 1) e.sigev_notify_function = called;
        if (i % 3 == 2) e._sigev_un._tid = own_tid;
        CHECK(timer_create(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &e, &t[i]) == 0);
        CHECK(timer_settime(t[i], 0, &every, NULL) == 0);
    }
    struct itimerval it = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &it, NULL);
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(fd, 0, &every, NULL);
    uint64_t fired = 0, n;
    while (fired < (uint64_t)wanted || atomic_load(&by_signal) < wanted || atomic_load(&by_thread) < wanted ||
           atomic_load(&to_thread) < wanted || atomic_load(&alarms) < wanted) {
        read_all(fd, &n, 8);
        fired += n;
    }
    for (int i = 0; i < 6; i++) CHECK(timer_delete(t[i]) == 0);
    memset(&it, 0, sizeof it);
    setitimer(ITIMER_REAL, &it, NULL);
    atomic_store(&stop, 1);
    do pthread_kill(g, SIGALRM);
    while (usleep(1000), pthread_tryjoin_np(g, NULL));
    for (int i = 0; i < 2; i++) finish(b[i]);
    for (int i = 0; i < 10; i++) finish(q[i]);
    puts("ok");
    return 0;
}
