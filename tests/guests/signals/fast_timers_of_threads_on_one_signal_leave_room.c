// fast_timers_of_threads_on_one_signal_leave_room.c - timers of ten microseconds, one for each of several threads,
// all with one signal: each thread gets its own timer's signals and overruns and no more of them than there were
// expirations, others run meanwhile; so does a thread that blocked the signal for long once it opens its mask. TEST:
// timeout=90
#include "check.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { kThreads = 4, kBlocking = 0, kPeriod = 10000, kEnough = 300 };
static __thread int me;
static sem_t armed, enough[kThreads];
static struct {
    timer_t timer;
    long long began, expirations;
    volatile long handled;
    long wanted;
} all[kThreads];

static void on_signal(int sig, siginfo_t* info, void* context) {
    CHECK_EQ(info->si_code, SI_TIMER);
    CHECK_EQ(info->si_value.sival_int, me);
    CHECK_EQ(timer_getoverrun(all[me].timer), info->si_overrun);
    all[me].expirations += 1 + info->si_overrun;
    CHECK(all[me].expirations <= (now_ns() - all[me].began) / kPeriod);
    if (++all[me].handled != all[me].wanted) return;
    struct itimerspec never = {{0, 0}, {0, 0}};
    CHECK_OK(timer_settime(all[me].timer, 0, &never, NULL));
    sem_post(&enough[me]);
}

static void arm(void) {
    struct sigevent event;
    struct itimerspec quick = {{0, kPeriod}, {0, kPeriod}};
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMIN;
    event.sigev_notify_thread_id = gettid();
    event.sigev_value.sival_int = me;
    CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &all[me].timer));
    all[me].began = now_ns();
    CHECK_OK(timer_settime(all[me].timer, 0, &quick, NULL));
}

static void wait_for(sem_t* sem) {
    while (sem_wait(sem)) CHECK_EQ(errno, EINTR);
}

// Some compute, some wait. The handler runs wherever they are.
static void* run(void* arg) {
    me = (int)(long)arg;
    all[me].wanted = me == kBlocking ? 2 : kEnough;
    arm();
    sem_post(&armed);
    if (me == kBlocking) {
        for (int i = 0; i < kThreads; i++)
            if (i != kBlocking) wait_for(&enough[i]);
        CHECK_EQ(all[me].handled, 0);
        unblock_signal(SIGRTMIN);
        CHECK(all[me].handled >= 1 && all[me].expirations > 1);
    } else {
        unblock_signal(SIGRTMIN);
    }
    if (me & 1) {
        while (all[me].handled < all[me].wanted) {
        }
    }
    if (me == kBlocking) wait_for(&enough[me]);
    while (all[me].handled < all[me].wanted) usleep(1000);
    return NULL;
}

int main(void) {
    pthread_t threads[kThreads];
    handle_info(SIGRTMIN, on_signal, SA_RESTART);
    block_signal(SIGRTMIN);
    sem_init(&armed, 0, 0);
    for (int i = 0; i < kThreads; i++) sem_init(&enough[i], 0, 0);
    for (int i = 0; i < kThreads; i++) {
        threads[i] = start(run, (void*)(long)i);
        wait_for(&armed);
    }
    for (int i = 0; i < kThreads; i++) finish(threads[i]);
    say("ok");
}
