// TEST: native=skip configs=w1
// two_who_wake_each_other_starve_nobody.c - while two threads hand a token to and fro, a third that is always ready gets turns.
#include "check.h"

enum { ROUNDS = 20000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static int turn;
static _Atomic int ended;
static _Atomic long turns_of_the_third;

static void* player(void* arg) {
    int me = (int)(long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        while (turn != me) pthread_cond_wait(&changed[me], &lock);
        turn = !me;
        pthread_cond_signal(&changed[!me]);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void* third(void* arg) {
    while (!ended) {
        turns_of_the_third++;
        sched_yield();
    }
    return arg;
}

int main(void) {
    pthread_t other = start(third, NULL), players[2];
    for (long i = 0; i < 2; i++) players[i] = start(player, (void*)i);
    for (int i = 0; i < 2; i++) finish(players[i]);
    ended = 1;
    finish(other);
    // Far fewer than a fair share of one worker, far more than by ticks alone. (The kernel gives a thread that yields less.)
    CHECK(turns_of_the_third > ROUNDS / 20);
    say("ok");
}
