// 64 threads doing I/O of every kind for a given time while signals, forks, execs, cancellations, computing threads and changes
// of affinity hit them; every byte, event, turn and child is counted on both sides. usage: everything SECONDS
#include "storm.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/futex.h>
#include <netinet/in.h>

enum { kPipes = 6, kSockets = 6, kTcp = 4, kEvents = 3, kTurners = 6, kFiles = 4, kShared = 3, kForkers = 3, kCancellers = 2, kSpinners = 3 };
static atomic_long sent, received, events_in, events_out, handled, forked, reaped, cancelled, cleaned, shared_sent, shared_got;
static atomic_int over;
static long turns, turn_total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t all[128];
static int count;

static void on_any(int sig) { (void)sig; atomic_fetch_add(&handled, 1); }

struct Ends { int in, out; unsigned seed; };

// A stream of blocks, each [length | bytes made from its number], checked at the other end.
static void* stream_writer(void* p) {
    struct Ends* x = p;
    unsigned char block[5000];
    for (unsigned number = 0; !atomic_load(&over); number++) {
        unsigned n = 8 + next_random(&x->seed) % (sizeof block - 8);
        memcpy(block, &n, 4);
        memcpy(block + 4, &number, 4);
        for (unsigned i = 8; i < n; i++) block[i] = (unsigned char)(number + i);
        write_all(x->out, block, n);
        atomic_fetch_add(&sent, n);
    }
    CHECK(shutdown(x->out, SHUT_WR) == 0 || errno == ENOTSOCK);
    close(x->out);
    return NULL;
}
static void* stream_reader(void* p) {
    struct Ends* x = p;
    unsigned char block[5000];
    for (unsigned number = 0;; number++) {
        ssize_t r;
        do r = read(x->in, block, 1);
        while (r < 0 && errno == EINTR);
        if (r == 0) break;
        CHECK(r == 1);
        read_all(x->in, block + 1, 7);
        unsigned n, got;
        memcpy(&n, block, 4);
        memcpy(&got, block + 4, 4);
        CHECK(got == number && n >= 8 && n <= sizeof block);
        read_all(x->in, block + 8, n - 8);
        for (unsigned i = 8; i < n; i++) CHECK(block[i] == (unsigned char)(number + i));
        atomic_fetch_add(&received, n);
    }
    close(x->in);
    return NULL;
}
static void stream(struct Ends* x, int in, int out) {
    *x = (struct Ends){in, out, (unsigned)in};
    all[count++] = start(stream_reader, x);
    all[count++] = start(stream_writer, x);
}

static void* adder(void* p) {
    while (!atomic_load(&over)) {
        uint64_t one = 1;
        write_all(*(int*)p, &one, 8);
        atomic_fetch_add(&events_out, 1);
        if (atomic_load(&events_out) % 64 == 0) usleep(300);
    }
    uint64_t last = 1ul << 40;
    write_all(*(int*)p, &last, 8);
    return NULL;
}
static void* taker(void* p) {
    int fd = *(int*)p, e = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &event) == 0);
    for (uint64_t n; ;) {
        int r = epoll_wait(e, &event, 1, 50);
        if (r == 0 || (r < 0 && errno == EINTR)) continue;
        CHECK(r == 1);
        read_all(fd, &n, 8);
        atomic_fetch_add(&events_in, (long)(n & ((1ul << 40) - 1)));
        if (n >> 40) break;
    }
    close(e);
    return NULL;
}

// In turn; who finds the time over leaves the ring to the others by counting on without waiting.
static void* turner(void* p) {
    long me = (long)p, mine = 0;
    while (!atomic_load(&over)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_mutex_lock(&lock);
        while (turns % kTurners != me && !atomic_load(&over)) pthread_cond_timedwait(&changed, &lock, &until);
        if (turns % kTurners == me) {
            turns++;
            mine++;
        }
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    turn_total += mine;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void* filer(void* p) {
    char name[32];
    snprintf(name, sizeof name, "file%ld", (long)p);
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    unsigned char page[4096], back[4096];
    unsigned seed = (unsigned)(long)p, version[64] = {0};
    for (unsigned turn = 1; !atomic_load(&over); turn++) {
        unsigned at = next_random(&seed) % 64;
        memset(page, (int)(turn % 251), sizeof page);
        memcpy(page, &turn, sizeof turn);
        CHECK(pwrite(fd, page, sizeof page, at * 4096l) == sizeof page);
        version[at] = turn;
        if (turn % 16 == 0) CHECK(fdatasync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        at = next_random(&seed) % 64;
        if (!version[at]) continue;
        CHECK(pread(fd, back, sizeof back, at * 4096l) == sizeof back);
        unsigned got;
        memcpy(&got, back, sizeof got);
        CHECK(got == version[at] && back[4095] == version[at] % 251);
    }
    close(fd);
    return NULL;
}

// A word in shared memory, passed to and fro with another process.
static void* shared_player(void* p) {
    int* word = p;
    pid_t other = fork();
    CHECK(other >= 0);
    if (!other) {
        for (int v; (v = __atomic_load_n(word, __ATOMIC_SEQ_CST)) >= 0;)
            if (v % 2) {
                __atomic_compare_exchange_n(word, &v, v + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
                syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
            } else {
                struct timespec t = {1, 0};
                syscall(SYS_futex, word, FUTEX_WAIT, v, &t, NULL, 0);
            }
        _exit(11);
    }
    while (!atomic_load(&over)) {
        int v = __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
        CHECK(v % 2 == 1);
        atomic_fetch_add(&shared_sent, 1);
        syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == v) syscall(SYS_futex, word, FUTEX_WAIT, v, NULL, NULL, 0);
        CHECK(__atomic_load_n(word, __ATOMIC_SEQ_CST) == v + 1);
        atomic_fetch_add(&shared_got, 1);
        if (v > 1000000000) __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(word, -1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    int status;
    CHECK(wait_for(other, &status) == other && WIFEXITED(status) && WEXITSTATUS(status) == 11);
    return NULL;
}

static void* forker(void* p) {
    extern char** environ;
    for (unsigned i = (unsigned)(long)p; !atomic_load(&over); i++) {
        pid_t pid;
        int expected = 7;
        if (i % 3 == 0) {
            pid = fork();
            CHECK(pid >= 0);
            if (!pid) _exit(7);
        } else if (i % 3 == 1) {
            pid = vfork();
            CHECK(pid >= 0);
            if (!pid) _exit(7);
        } else {
            char* arguments[] = {"true", NULL};
            CHECK(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) == 0);
            expected = 0;
        }
        atomic_fetch_add(&forked, 1);
        int status;
        if (i % 2) {
            CHECK(wait_for(pid, &status) == pid);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected);
        } else {
            siginfo_t info;
            int r;
            do r = waitid(P_PID, (id_t)pid, &info, WEXITED);
            while (r < 0 && errno == EINTR);
            CHECK(r == 0 && info.si_pid == pid && info.si_code == CLD_EXITED && info.si_status == expected);
        }
        atomic_fetch_add(&reaped, 1);
        usleep(3000);
    }
    return NULL;
}

static void clean(void* p) {
    close(((int*)p)[0]);
    close(((int*)p)[1]);
    atomic_fetch_add(&cleaned, 1);
}
static void* blocked(void* p) {
    long kind = (long)p;
    int fd[2];
    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    pthread_cleanup_push(clean, fd);  // nothing before it is a cancellation point
    char c;
    struct pollfd q = {fd[0], POLLIN, 0};
    while (1) {
        if (kind == 0) (void)!read(fd[0], &c, 1);
        if (kind == 1) poll(&q, 1, -1);
        if (kind == 2) usleep(1000000);
        if (kind == 3) {
            int status;
            waitpid(getpid(), &status, 0);  // nobody's child: fails at once, yet a cancellation point
            sched_yield();
        }
    }
    pthread_cleanup_pop(1);
    return NULL;
}
static void* canceller(void* p) {
    unsigned seed = (unsigned)(long)p;
    while (!atomic_load(&over)) {
        pthread_t t[8];
        for (long i = 0; i < 8; i++) t[i] = start(blocked, (void*)(i % 4));
        usleep(next_random(&seed) % 3000);
        for (int i = 0; i < 8; i++) CHECK(pthread_cancel(t[i]) == 0);
        for (int i = 0; i < 8; i++) {
            void* r;
            CHECK(pthread_join(t[i], &r) == 0 && r == PTHREAD_CANCELED);
            atomic_fetch_add(&cancelled, 1);
        }
    }
    return NULL;
}

static void* spinner(void* p) {
    cpu_set_t every, one;
    CHECK(sched_getaffinity(0, sizeof every, &every) == 0);
    for (volatile unsigned long i = (unsigned long)p; !atomic_load(&over); i++) {
        if (i % 1000000) continue;
        // To one processor and back: whoever runs the thread has to let go of it.
        CPU_ZERO(&one);
        for (int cpu = 0, n = (int)(i / 1000000) % CPU_COUNT(&every); cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &every) && n-- == 0) CPU_SET(cpu, &one);
        CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
        sched_yield();
        CHECK(sched_setaffinity(0, sizeof every, &every) == 0);
    }
    return NULL;
}

int main(int argc, char** argv) {
    int seconds = times(argc, argv, 5);
    on_signal(SIGUSR1, on_any, SA_RESTART);
    on_signal(SIGUSR2, on_any, 0);
    on_signal(SIGALRM, on_any, SA_RESTART);
    struct Ends ends[kPipes + kSockets + kTcp], *x = ends;
    int events[kEvents], fd[2];
    for (int i = 0; i < kPipes; i++) {
        CHECK(pipe2(fd, O_CLOEXEC) == 0);
        stream(x++, fd[0], fd[1]);
    }
    for (int i = 0; i < kSockets; i++) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
        stream(x++, fd[0], fd[1]);
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    CHECK(bind(listener, (struct sockaddr*)&a, sizeof a) == 0 && listen(listener, 8) == 0);
    CHECK(getsockname(listener, (struct sockaddr*)&a, &length) == 0);
    for (int i = 0; i < kTcp; i++) {
        int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(near, (struct sockaddr*)&a, sizeof a) == 0);
        int far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        CHECK(far >= 0);
        stream(x++, far, near);
    }
    for (int i = 0; i < kEvents; i++) {
        events[i] = eventfd(0, EFD_CLOEXEC);
        all[count++] = start(taker, &events[i]);
        all[count++] = start(adder, &events[i]);
    }
    int* words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (long i = 0; i < kTurners; i++) all[count++] = start(turner, (void*)i);
    for (long i = 0; i < kFiles; i++) all[count++] = start(filer, (void*)i);
    for (long i = 0; i < kShared; i++) all[count++] = start(shared_player, words + 16 * i);
    for (long i = 0; i < kForkers; i++) all[count++] = start(forker, (void*)i);
    for (long i = 0; i < kCancellers; i++) all[count++] = start(canceller, (void*)i);
    for (long i = 0; i < kSpinners; i++) all[count++] = start(spinner, (void*)i);
    struct itimerval every = {{0, 2000}, {0, 2000}};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    unsigned seed = 1;
    do {
        int sig = next_random(&seed) % 2 ? SIGUSR1 : SIGUSR2;
        if (next_random(&seed) % 4)
            CHECK(pthread_kill(all[next_random(&seed) % (unsigned)count], sig) == 0);
        else
            CHECK(kill(getpid(), sig) == 0);
        usleep(400);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < seconds);
    atomic_store(&over, 1);
    pthread_mutex_lock(&lock);
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++) finish(all[i]);
    memset(&every, 0, sizeof every);
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    CHECK(atomic_load(&sent) == atomic_load(&received) && atomic_load(&sent) > 0);
    CHECK(atomic_load(&events_in) == atomic_load(&events_out) && atomic_load(&events_in) > 0);
    CHECK(turn_total == turns && turns > 0);
    CHECK(atomic_load(&forked) == atomic_load(&reaped) && atomic_load(&forked) > 0);
    CHECK(atomic_load(&cancelled) == atomic_load(&cleaned) && atomic_load(&cancelled) > 0);
    CHECK(atomic_load(&shared_sent) == atomic_load(&shared_got) && atomic_load(&shared_sent) > 0);
    CHECK(atomic_load(&handled) > 0);
    if (argc > 2)
        dprintf(2, "%ld bytes, %ld events, %ld turns, %ld children, %ld cancelled, %ld shared, %ld signals\n", atomic_load(&sent),
                atomic_load(&events_in), turns, atomic_load(&reaped), atomic_load(&cancelled), atomic_load(&shared_got), atomic_load(&handled));
    puts("ok");
    return 0;
}
