// pthread_kill_reaches_the_thread_meant.c - 30 threads in many kinds of waits each handle their own signals.
#include <poll.h>

#include "check.h"

enum { N = 30 };
static __thread int me = -1;
static _Atomic int hits[N];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int fds[2];
static volatile int stop;
static pthread_barrier_t barrier;

static void hit(int sig) {
    hits[me]++;
}

static void* wait_somehow(void* arg) {
    me = (int)(long)arg;
    struct pollfd p = {fds[0], POLLIN, 0};
    char c;
    pthread_barrier_wait(&barrier);
    while (!stop) switch (me % 5) {
            case 0:
                usleep(100000000);
                break;
            case 1:
                poll(&p, 1, 100000);
                break;
            case 2:
                if (read(fds[0], &c, 1) == 1) return NULL;
                break;
            case 3:
                pthread_mutex_lock(&mutex);
                pthread_mutex_unlock(&mutex);
                break;
            case 4:
                sched_yield();
                break;
        }
    return NULL;
}

int main(void) {
    pthread_t t[N];
    handle(SIGUSR1, hit, 0);
    make_pipe(fds);
    pthread_mutex_lock(&mutex);
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (long i = 0; i < N; i++) t[i] = start(wait_somehow, (void*)i);
    pthread_barrier_wait(&barrier);
    for (int round = 1; round <= 5; round++)
        for (int i = N - 1; i >= 0; i--) {
            CHECK_0(pthread_kill(t[i], SIGUSR1));
            while (hits[i] < round) sched_yield();
        }
    for (int i = 0; i < N; i++) CHECK_EQ(hits[i], 5);
    stop = 1;
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < N; i++) CHECK_EQ(write(fds[1], "x", 1), 1);
    for (int i = 0; i < N; i++) {
        while (pthread_tryjoin_np(t[i], NULL)) {  // one may just be on its way into its wait
            pthread_kill(t[i], SIGUSR1);
            sleep_ms(2);
        }
    }
    CHECK_EQ(pthread_kill(pthread_self(), 65), EINVAL);
    CHECK_0(pthread_kill(pthread_self(), 0));
    say("ok");
}
