// descriptor_signals_go_to_the_thread_that_owns_it.c - F_SETOWN_EX with F_OWNER_TID: SIGIO, and what F_SETSIG says, come
// to that thread, asleep or at work or with the signal blocked; F_GETOWN_EX tells which it is.
#include "check.h"

static __thread volatile int mine;
static volatile int signals, strays, code;
static volatile pid_t owner_tid;

static void came(int sig, siginfo_t* info, void* context) {
    (void)sig;
    (void)context;
    if (syscall(SYS_gettid) == owner_tid)
        mine++;
    else
        strays++;
    code = info->si_code;
    signals++;
}

static void own(int fd, int sig) {
    struct f_owner_ex o = {F_OWNER_TID, owner_tid}, seen = {-1, -1};
    CHECK_OK(fcntl(fd, F_SETOWN_EX, &o));
    CHECK_OK(fcntl(fd, F_GETOWN_EX, &seen));
    CHECK_EQ(seen.type, F_OWNER_TID);
    CHECK_EQ(seen.pid, owner_tid);
    CHECK_EQ(fcntl(fd, F_GETOWN), owner_tid);
    if (sig) CHECK_OK(fcntl(fd, F_SETSIG, sig));
    CHECK_OK(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
}

struct task {
    int fd, sig, way;
};
static sem_t ready, never, done;
enum { kAsleep, kAtWork, kBlocked, kWays };

static void* owner(void* arg) {
    struct task* t = (struct task*)arg;
    int sig = t->sig ? t->sig : SIGIO;
    owner_tid = (pid_t)syscall(SYS_gettid);
    mine = signals = strays = 0;
    if (t->way == kBlocked) block_signal(sig);
    own(t->fd, t->sig);
    sem_post(&ready);
    if (t->way == kAsleep) {
        while (!mine) CHECK_ERR(sem_wait(&never), EINTR);
    } else if (t->way == kAtWork) {
        while (!mine) {
        }
    } else {
        sigset_t s = signal_set(sig, 0);
        siginfo_t info;
        CHECK_EQ(sigwaitinfo(&s, &info), sig);
        CHECK_EQ(signals, 0);
        mine = 1;
    }
    CHECK_EQ(mine, 1);
    CHECK_EQ(strays, 0);
    if (t->sig && t->way != kBlocked) CHECK_EQ(code, POLL_IN);
    sem_post(&done);
    return NULL;
}

int main(void) {
    sem_init(&ready, 0, 0);
    sem_init(&never, 0, 0);
    sem_init(&done, 0, 0);
    handle_info(SIGIO, came, 0);
    handle_info(SIGRTMIN + 3, came, 0);
    int sv[2];
    for (int way = 0; way < kWays; way++)
        for (int i = 0; i < 2; i++) {
            int fds[2];
            make_pipe(fds);
            struct task t = {fds[0], i ? SIGRTMIN + 3 : 0, way};
            pthread_t p = start(owner, &t);
            sem_wait(&ready);
            settle();
            CHECK_EQ(write(fds[1], "x", 1), 1);
            while (sem_wait(&done)) {
            }
            finish(p);
            close(fds[0]);
            close(fds[1]);
        }
    // the main thread's, with others about
    make_pipe(sv);
    owner_tid = getpid();
    mine = strays = 0;
    own(sv[0], 0);
    CHECK_EQ(write(sv[1], "x", 1), 1);
    while (!mine) sched_yield();
    CHECK_EQ(strays, 0);
    struct f_owner_ex nobody = {F_OWNER_TID, 0x3fffffff};
    CHECK_ERR(fcntl(sv[0], F_SETOWN_EX, &nobody), ESRCH);
    CHECK_ERR(fcntl(sv[0], F_SETOWN_EX, NULL), EFAULT);
    say("ok");
}
