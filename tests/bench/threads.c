// threads.c - threads against each other: create and join, condition variables, a contended mutex, pipes, many
// sleepers.
#include <sched.h>

#include "bench.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn;
static long rounds;
static int there[2], back[2];

static void* nothing(void* arg) {
    return arg;
}

static void create_join(long n) {
    while (n--) {
        pthread_t t;
        must(pthread_create(&t, NULL, nothing, NULL) == 0, "pthread_create");
        pthread_join(t, NULL);
    }
}

static void* take_turns(void* arg) {
    int me = (int)(long)arg;
    pthread_mutex_lock(&mutex);
    for (long i = 0; i < rounds; i++) {
        while (turn != me) pthread_cond_wait(&cond, &mutex);
        turn = !me;
        pthread_cond_signal(&cond);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void cond_switches(long n) {
    pthread_t t;
    rounds = n;
    turn = 0;
    must(pthread_create(&t, NULL, take_turns, (void*)1) == 0, "pthread_create");
    take_turns(NULL);
    pthread_join(t, NULL);
}

static void* answer(void* arg) {
    char c;
    for (long i = 0; i < rounds; i++) must(read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1, "answer");
    return NULL;
}

static void pipe_round_trips(long n) {
    pthread_t t;
    char c = 0;
    rounds = n;
    must(pthread_create(&t, NULL, answer, NULL) == 0, "pthread_create");
    while (n--) must(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1, "ask");
    pthread_join(t, NULL);
}

static void* contend(void* arg) {
    for (long i = 0; i < rounds / 50 + 1; i++) {
        pthread_mutex_lock(&mutex);
        turn++;
        if (i % 16 == 0) sched_yield();  // with the lock held: the others queue up
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void contended_mutex(long n) {
    pthread_t t[50];
    rounds = n;
    for (int i = 0; i < 50; i++) must(pthread_create(&t[i], NULL, contend, NULL) == 0, "pthread_create");
    for (int i = 0; i < 50; i++) pthread_join(t[i], NULL);
}

static void* nap(void* arg) {
    for (int i = 0; i < 10; i++) usleep(1000);
    return NULL;
}

int main(void) {
    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    result("create_join", per_call(create_join), "ns");
    result("cond_switch", per_call(cond_switches) / 2, "ns");
    result("pipe_round_trip", per_call(pipe_round_trips), "ns");
    result("contended_mutex", per_call(contended_mutex), "ns");
    enum { SLEEPERS = 1000 };
    static pthread_t t[SLEEPERS];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 * 1024);
    double begin = now_ns();
    for (int i = 0; i < SLEEPERS; i++) must(pthread_create(&t[i], &attr, nap, NULL) == 0, "pthread_create");
    for (int i = 0; i < SLEEPERS; i++) pthread_join(t[i], NULL);
    result("1000_sleepers_10_naps", (now_ns() - begin) / 1e6, "ms");
    return 0;
}
