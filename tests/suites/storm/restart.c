// a storm of signals against calls that wait, with SA_RESTART on and off; time-outs hold, no byte is lost
#include "storm.h"
static atomic_long handled;
static atomic_int left;
static int rounds;
static void count(int sig) { (void)sig; atomic_fetch_add(&handled, 1); }
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void* sleeps(void* p) {
    (void)p;
    for (int i = 0; i < rounds; i++) {
        struct timespec t = {0, 20000000};
        double began = now();
        while (nanosleep(&t, &t)) CHECK(errno == EINTR);
        CHECK(now() - began >= 0.0199);
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}
static void* sleeps_till(void* p) {
    (void)p;
    for (int i = 0; i < rounds; i++) {
        struct timespec t;
        clock_gettime(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &t);
        t.tv_nsec += 20000000;
        if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
        double began = now();
        int r;
        while ((r = clock_nanosleep(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL))) CHECK(r == EINTR);
        CHECK(now() - began >= 0.019);
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}
static void* polls(void* p) {
    int fd[2];
    (void)p;
    CHECK(pipe(fd) == 0);
    for (int i = 0; i < rounds; i++) {
        struct pollfd q = {fd[0], POLLIN, 0};
        double began = now();
        int r = poll(&q, 1, 20);
        if (r < 0)
            CHECK(errno == EINTR);
        else
            CHECK(r == 0 && now() - began >= 0.0199);
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}
static void* echo(void* p) {
    int fd = *(int*)p;
    unsigned char c;
    for (;;) {
        ssize_t r = read(fd, &c, 1);
        if (r < 0 && errno == EINTR) continue;
        if (r == 0) break;
        CHECK(r == 1);
        write_all(fd, &c, 1);
    }
    close(fd);
    return NULL;
}
static void* talks(void* p) {
    (void)p;
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    pthread_t t = start(echo, &fd[1]);
    for (int i = 0; i < rounds * 20; i++) {
        unsigned char c = (unsigned char)i, back = 0;
        write_all(fd[0], &c, 1);
        read_all(fd[0], &back, 1);
        CHECK(c == back);
    }
    close(fd[0]);
    finish(t);
    atomic_fetch_sub(&left, 1);
    return NULL;
}
static void* waits(void* p) {
    (void)p;
    sem_t s;
    sem_init(&s, 0, 0);
    for (int i = 0; i < rounds; i++) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 20000000;
        if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
        double began = now();
        int r;
        while ((r = sem_timedwait(&s, &t)) && errno == EINTR) {}
        CHECK(r == -1 && errno == ETIMEDOUT && now() - began >= 0.019);
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}
int main(int argc, char** argv) {
    rounds = times(argc, argv, 15);
    void* (*bodies[])(void*) = {sleeps, polls, talks, waits, sleeps_till};
    for (int restart = 0; restart < 2; restart++) {
        on_signal(SIGUSR1, count, restart ? SA_RESTART : 0);
        on_signal(SIGRTMIN + 3, count, restart ? SA_RESTART : 0);
        pthread_t t[20];
        atomic_store(&left, 20);
        for (int i = 0; i < 20; i++) t[i] = start(bodies[i % 5], NULL);
        long sent = 0;
        unsigned seed = 5;
        while (atomic_load(&left)) {
            int which = (int)(next_random(&seed) % 20);
            if (sent % 3) kill(getpid(), SIGUSR1); else pthread_kill(t[which], SIGRTMIN + 3);
            if (++sent % 8 == 0) usleep(300);
        }
        for (int i = 0; i < 20; i++) finish(t[i]);
    }
    CHECK(atomic_load(&handled) > 0);
    puts("ok");
    return 0;
}
