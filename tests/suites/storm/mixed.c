// 64 threads: pipes, socket pairs, eventfds, mutexes and conditions, with signals, timers, forks and execs among them
#include "storm.h"

enum { kPairs = 16, kRounds = 200 };
static atomic_long bytes_in, bytes_out, events_in, events_out, handled, children;
static atomic_int running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long turns;
static pthread_t all[64];
static int rounds;

static void count(int sig) { (void)sig; atomic_fetch_add(&handled, 1); }

struct Pair { int in, out; unsigned seed; };

static void* writer(void* p) {
    struct Pair* x = p;
    char block[3000];
    for (int i = 0; i < rounds; i++) {
        size_t n = 1 + next_random(&x->seed) % sizeof block;
        memset(block, 'a', n);
        write_all(x->out, block, n);
        atomic_fetch_add(&bytes_out, (long)n);
    }
    close(x->out);
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* reader(void* p) {
    struct Pair* x = p;
    char block[2000];
    for (;;) {
        ssize_t r = read(x->in, block, sizeof block);
        if (r < 0 && errno == EINTR) continue;
        CHECK(r >= 0);
        if (!r) break;
        atomic_fetch_add(&bytes_in, r);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* adder(void* p) {
    int fd = *(int*)p;
    for (int i = 0; i < rounds; i++) {
        uint64_t one = 1;
        write_all(fd, &one, 8);
        atomic_fetch_add(&events_out, 1);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* taker(void* p) {
    int fd = *(int*)p;
    for (int i = 0; i < rounds;) {
        uint64_t n;
        struct pollfd q = {fd, POLLIN, 0};
        if (poll(&q, 1, -1) < 0) {
            CHECK(errno == EINTR);
            continue;
        }
        read_all(fd, &n, 8);
        i += (int)n;
        atomic_fetch_add(&events_in, (long)n);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* turner(void* p) {
    long me = (long)p;
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        while (turns % 8 != me) pthread_cond_wait(&changed, &lock);
        turns++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* forker(void* p) {
    int execs = *(int*)p;
    for (int i = 0; i < rounds / 20; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            if (execs) execl("/bin/true", "true", NULL);
            _exit(execs ? 9 : 7);
        }
        int status;
        CHECK(wait_for(pid, &status) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == (execs ? 0 : 7));
        atomic_fetch_add(&children, 1);
    }
    atomic_fetch_sub(&running, 1);
    return NULL;
}
static void* sleeper(void* p) {
    (void)p;
    for (;;) {
        struct timespec t = {10, 0};
        nanosleep(&t, NULL);
    }
    return NULL;
}

int main(int argc, char** argv) {
    rounds = times(argc, argv, kRounds);
    on_signal(SIGUSR1, count, 0);
    on_signal(SIGUSR2, count, SA_RESTART);
    on_signal(SIGALRM, count, SA_RESTART);
    signal(SIGPIPE, SIG_IGN);
    struct Pair pairs[kPairs];
    int events[4], n = 0, yes = 1, no = 0;
    atomic_store(&running, 2 * kPairs + 8 + 8 + 4);
    for (int i = 0; i < kPairs; i++) {
        int fd[2];
        CHECK((i % 2 ? pipe2(fd, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd)) == 0);
        pairs[i] = (struct Pair){fd[0], fd[1], (unsigned)i};
        all[n++] = start(reader, &pairs[i]);
        all[n++] = start(writer, &pairs[i]);
    }
    for (int i = 0; i < 4; i++) {
        events[i] = eventfd(0, EFD_CLOEXEC);
        all[n++] = start(adder, &events[i]);
        all[n++] = start(taker, &events[i]);
    }
    for (long i = 0; i < 8; i++) all[n++] = start(turner, (void*)i);
    for (int i = 0; i < 4; i++) all[n++] = start(forker, i % 2 ? &yes : &no);
    pthread_t sleepers[8];
    for (int i = 0; i < 8; i++) sleepers[i] = start(sleeper, NULL);
    struct itimerval every = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &every, NULL);
    unsigned seed = 1;
    while (atomic_load(&running)) {
        pthread_kill(sleepers[next_random(&seed) % 8], next_random(&seed) % 2 ? SIGUSR1 : SIGUSR2);
        kill(getpid(), next_random(&seed) % 2 ? SIGUSR1 : SIGUSR2);
        usleep(500);
    }
    for (int i = 0; i < n; i++) finish(all[i]);
    for (int i = 0; i < 8; i++) {
        pthread_cancel(sleepers[i]);
        void* r;
        pthread_join(sleepers[i], &r);
        CHECK(r == PTHREAD_CANCELED);
    }
    memset(&every, 0, sizeof every);
    setitimer(ITIMER_REAL, &every, NULL);
    CHECK(atomic_load(&bytes_in) == atomic_load(&bytes_out));
    CHECK(atomic_load(&events_in) == atomic_load(&events_out));
    CHECK(turns == 8L * rounds && atomic_load(&children) == 4 * (rounds / 20) && atomic_load(&handled) > 0);
    puts("ok");
    return 0;
}
