// thread_ids_are_unique_and_usable.c - gettid differs, tgkill reaches each, a dead tid gives ESRCH, the parent sees
// none.
// TEST: link=dynamic,static
#include "check.h"

enum { N = 50 };
static pid_t tids[N];
static _Atomic int hits[N];
static __thread int me = -1;
static pthread_barrier_t barrier;

static void hit(int sig) {
    hits[me]++;
}

static void* live(void* arg) {
    me = (long)arg;
    tids[me] = gettid();
    CHECK_EQ(getpid(), *(pid_t*)&(pid_t){getpid()});
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    while (!hits[me]) sched_yield();
    return NULL;
}

int main(void) {
    pthread_t t[N];
    handle(SIGUSR1, hit, SA_RESTART);
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (long i = 0; i < N; i++) t[i] = start(live, (void*)i);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++) {
        CHECK(tids[i] > 0 && tids[i] != getpid());
        for (int j = 0; j < i; j++) CHECK(tids[i] != tids[j]);
        CHECK_OK(syscall(SYS_tgkill, getpid(), tids[i], SIGUSR1));
    }
    CHECK_ERR(syscall(SYS_tgkill, getpid(), tids[0], 65), EINVAL);
    CHECK_ERR(syscall(SYS_tgkill, getpid(), 0, SIGUSR1), EINVAL);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++) finish(t[i]);
    for (int i = 0; i < N; i++) CHECK_EQ(hits[i], 1);
    for (int tries = 0; syscall(SYS_tgkill, getpid(), tids[0], 0) == 0; tries++) {
        CHECK(tries < 1000);
        sleep_ms(5);
    }
    CHECK_ERR(syscall(SYS_tgkill, getpid(), tids[0], 0), ESRCH);
    CHECK_ERR(syscall(SYS_tgkill, 1, tids[0], 0), ESRCH);
    say("ok");
}
