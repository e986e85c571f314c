// errorcheck_and_recursive_mutexes_know_their_owner.c - the owner is the thread: EDEADLK, EPERM, recursion counts.
#include "check.h"

static pthread_mutex_t check = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static pthread_barrier_t refused;

static void* other(void* arg) {
    CHECK_EQ(pthread_mutex_unlock(&check), EPERM);
    CHECK_EQ(pthread_mutex_trylock(&check), EBUSY);
    CHECK_EQ(pthread_mutex_trylock(&recursive), EBUSY);
    CHECK_EQ(pthread_mutex_unlock(&recursive), EPERM);
    pthread_barrier_wait(&refused);
    CHECK_0(pthread_mutex_lock(&recursive));
    CHECK_0(pthread_mutex_unlock(&recursive));
    return NULL;
}

int main(void) {
    CHECK_0(pthread_mutex_lock(&check));
    CHECK_EQ(pthread_mutex_lock(&check), EDEADLK);
    for (int i = 0; i < 3; i++) CHECK_0(pthread_mutex_lock(&recursive));
    pthread_t t[20];
    CHECK_0(pthread_barrier_init(&refused, NULL, 21));
    for (int i = 0; i < 20; i++) t[i] = start(other, NULL);
    pthread_barrier_wait(&refused);
    settle();
    for (int i = 0; i < 3; i++) CHECK_0(pthread_mutex_unlock(&recursive));
    for (int i = 0; i < 20; i++) finish(t[i]);
    CHECK_EQ(pthread_mutex_unlock(&recursive), EPERM);
    CHECK_0(pthread_mutex_unlock(&check));
    say("ok");
}
