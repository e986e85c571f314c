// Threads whose waits follow each other in all orders: for a word with and without a limit, for time, for a descriptor, with signals
// in between and forks beside them, so that runtime stacks are given away, taken, shared and kept in all combinations.
// TEST: timeout=90
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { kThreads = 24, kRounds = 200 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long tickets, sums[kThreads], handled;
static int fds[2], done;

static void on_signal(int sig) {
    (void)sig;
    __atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

static struct timespec soon(clockid_t clock, long ns) {
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += ns;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

// Each takes one ticket a round, whatever it waits for in between.
static void* worker(void* arg) {
    long me = (long)arg;
    unsigned r = (unsigned)me * 2654435761u + 1;
    for (int i = 0; i < kRounds; i++) {
        r = r * 1664525u + 1013904223u;
        unsigned kind = r >> 28;
        if (kind < 4) {  // a word, with a limit
            struct timespec t = soon(CLOCK_REALTIME, 200000);
            pthread_mutex_lock(&mutex);
            int e = pthread_cond_timedwait(&cond, &mutex, &t);
            CHECK(e == 0 || e == ETIMEDOUT);
            pthread_mutex_unlock(&mutex);
        } else if (kind < 7) {  // time
            struct timespec left, t = {0, 100000 + r % 100000};
            while (nanosleep(&t, &left)) {
                CHECK(errno == EINTR && left.tv_sec == 0);  // natively a little more may be left than was asked for
                t = left;
            }
        } else if (kind < 9) {  // a word, until somebody comes
            pthread_mutex_lock(&mutex);
            while (!tickets && !done) pthread_cond_wait(&cond, &mutex);
            pthread_mutex_unlock(&mutex);
        } else if (kind < 11) {  // here both sides of a pipe that all share
            char c = 1;
            CHECK(write(fds[1], &c, 1) == 1);
            CHECK(read(fds[0], &c, 1) == 1 && c == 1);
        } else if (kind == 11) {
            sched_yield();
        }
        pthread_mutex_lock(&mutex);
        while (!tickets) pthread_cond_wait(&cond, &mutex);
        tickets--;
        sums[me]++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void* giver(void* arg) {
    for (long given = 0; given < (long)kThreads * kRounds; given++) {
        pthread_mutex_lock(&mutex);
        tickets++;
        if (given % 3) pthread_cond_signal(&cond);
        else pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
        if (given % 16 == 0) {
            struct timespec t = {0, 50000};
            nanosleep(&t, NULL);
        }
    }
    // Who got no signal because somebody else took it finds a ticket now.
    for (;;) {
        pthread_mutex_lock(&mutex);
        int over = done;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
        if (over) return arg;
        usleep(1000);
    }
}

static void* of_child(void* arg) {
    struct timespec pause = {0, 100000}, t = soon(CLOCK_REALTIME, 100000);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&mutex);
    tickets++;
    while (tickets < 3 && pthread_cond_timedwait(&cond, &mutex, &t) == 0) {
    }
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&mutex);
    return arg;
}

int main(void) {
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &sa, NULL);
    CHECK(pipe(fds) == 0);
    pthread_t t[kThreads], g;
    for (long i = 0; i < kThreads; i++) CHECK(pthread_create(&t[i], NULL, worker, (void*)i) == 0);
    CHECK(pthread_create(&g, NULL, giver, NULL) == 0);
    long sent = 0;
    for (int i = 0; i < 30; i++) {
        for (int k = 0; k < kThreads; k += 5) sent += pthread_kill(t[(k + i) % kThreads], SIGUSR1) == 0;
        // The child begins with the parent's stacks and uses them anew.
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            pthread_t u[3];
            void* result;
            pthread_mutex_init(&mutex, NULL);
            pthread_cond_init(&cond, NULL);
            tickets = 0;
            for (int k = 0; k < 3; k++)
                if (pthread_create(&u[k], NULL, of_child, &u[k])) _exit(1);
            for (int k = 0; k < 3; k++)
                if (pthread_join(u[k], &result) || result != &u[k]) _exit(2);
            _exit(0);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        usleep(2000);
    }
    long all = 0;
    for (int i = 0; i < kThreads; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
        all += sums[i];
    }
    pthread_mutex_lock(&mutex);
    done = 1;
    pthread_mutex_unlock(&mutex);
    pthread_join(g, NULL);
    CHECK(all == (long)kThreads * kRounds);
    CHECK(sent == 0 || __atomic_load_n(&handled, __ATOMIC_RELAXED) > 0);
    puts("all tickets were taken");
    return 0;
}
