// five_hundred_threads_wait_on_a_condvar.c - broadcast releases everybody, a signal at least one, nobody is lost.
#include "check.h"

enum { N = 500 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER, came = PTHREAD_COND_INITIALIZER;
static int waiting, released, tickets;

static void* wait_for_it(void* arg) {
    pthread_mutex_lock(&mutex);
    waiting++;
    pthread_cond_signal(&came);
    while (!released) CHECK_0(pthread_cond_wait(&go, &mutex));
    while (tickets == 0) CHECK_0(pthread_cond_wait(&go, &mutex));
    tickets--;
    waiting--;
    pthread_cond_signal(&came);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

int main(void) {
    static pthread_t t[N];
    for (int i = 0; i < N; i++) t[i] = start(wait_for_it, NULL);
    pthread_mutex_lock(&mutex);
    while (waiting < N) pthread_cond_wait(&came, &mutex);
    say("all wait");
    released = 1;
    pthread_cond_broadcast(&go);
    for (int i = 0; i < N; i++) {  // one ticket at a time
        while (tickets) pthread_cond_wait(&came, &mutex);
        tickets = 1;
        pthread_cond_signal(&go);
    }
    while (waiting) pthread_cond_wait(&came, &mutex);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < N; i++) finish(t[i]);
    say("all gone, tickets left %d", tickets);
}
