// pingpong.c - two threads in turns: over a condition variable, two pipes, a pair of unix sockets
//
// --two-cpus pins each thread to a CPU of its own, as the native side of the two-CPU rows wants it
#include <sys/socket.h>

#include "bench.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, two_cpus;
static long rounds;
static int mine[2], theirs[2];  // read end, write end

static void* take_turns(void* arg) {
    int me = (int)(long)arg;
    if (two_cpus) pin_to(me);
    pthread_mutex_lock(&mutex);
    for (long i = 0; i < rounds; i++) {
        while (turn != me) pthread_cond_wait(&cond, &mutex);
        turn = !me;
        pthread_cond_signal(&cond);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void cond_rounds(long n) {
    pthread_t t;
    rounds = n;
    turn = 0;
    must(pthread_create(&t, NULL, take_turns, (void*)1) == 0, "pthread_create");
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    take_turns(NULL);
    pthread_join(t, NULL);
    if (two_cpus) sched_setaffinity(0, sizeof before, &before);
}

static void* answer(void* arg) {
    char c;
    if (two_cpus) pin_to(1);
    for (long i = 0; i < rounds; i++) must(read(theirs[0], &c, 1) == 1 && write(theirs[1], &c, 1) == 1, "answer");
    return arg;
}

static void byte_rounds(long n) {
    pthread_t t;
    char c = 0;
    rounds = n;
    must(pthread_create(&t, NULL, answer, NULL) == 0, "pthread_create");
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    if (two_cpus) pin_to(0);
    while (n--) must(write(mine[1], &c, 1) == 1 && read(mine[0], &c, 1) == 1, "ask");
    pthread_join(t, NULL);
    if (two_cpus) sched_setaffinity(0, sizeof before, &before);
}

int main(int argc, char** argv) {
    two_cpus = option(argc, argv, "--two-cpus");
    if (chosen(argc, argv, "cond_switch")) result("cond_switch", per_call(cond_rounds) / 2, "ns");
    if (chosen(argc, argv, "pipe_round_trip")) {
        int there[2], back[2];
        must(pipe(there) == 0 && pipe(back) == 0, "pipe");
        mine[1] = there[1], theirs[0] = there[0], theirs[1] = back[1], mine[0] = back[0];
        result("pipe_round_trip", per_call(byte_rounds), "ns");
    }
    if (chosen(argc, argv, "unix_round_trip")) {
        int pair[2];
        must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
        mine[0] = mine[1] = pair[0], theirs[0] = theirs[1] = pair[1];
        result("unix_round_trip", per_call(byte_rounds), "ns");
    }
    return 0;
}
