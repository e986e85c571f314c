// Children in the same memory signal the parent's threads over and over and are killed at any moment; the next one can do the same.
#include "../check.h"

enum { kThreads = 2, kRounds = 60 };
static pid_t self, ids[kThreads];
static int stop, sent, handled;
static pthread_barrier_t all_there;

static void handler(int sig) { __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST); }

static void* goes_on(void* arg) {
    long me = (long)arg;
    ids[me] = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&all_there);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        usleep(100);
    return NULL;
}

static int signals_on(void* arg) {
    for (int left = arg ? 3 : -1; left; left--) {
        for (int i = 0; i < kThreads; i++) CHECK_OK(syscall(SYS_tgkill, self, ids[i], SIGUSR1));
        __atomic_fetch_add(&sent, 1, __ATOMIC_SEQ_CST);
    }
    syscall(SYS_exit, 5);
    return 0;
}

static pid_t start_child(void* arg) {
    static char stacks[kRounds + 1][16384] __attribute__((aligned(16)));
    static int used;
    pid_t child = clone(signals_on, stacks[used] + sizeof stacks[used], CLONE_VM | SIGCHLD, arg);
    used++;
    CHECK_OK(child);
    return child;
}

int main(void) {
    pthread_t threads[kThreads];
    self = getpid();
    handle(SIGUSR1, handler, SA_RESTART);
    CHECK_0(pthread_barrier_init(&all_there, NULL, kThreads + 1));
    for (long i = 0; i < kThreads; i++) threads[i] = start(goes_on, (void*)i);
    pthread_barrier_wait(&all_there);
    for (int round = 0; round < kRounds; round++) {
        int before = sent, status;
        pid_t child = start_child(NULL);
        while (__atomic_load_n(&sent, __ATOMIC_SEQ_CST) == before) usleep(50);
        for (volatile int i = 0; i < round * 997 % 5000; i++) {
        }
        CHECK_OK(kill(child, SIGKILL));
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    CHECK_EXIT(start_child(&stop), 5);
    CHECK(handled > kRounds);
    stop = 1;
    for (int i = 0; i < kThreads; i++) finish(threads[i]);
    say("ok");
}
