// TEST: timeout=60
// A fork from one of a few thousand threads: the child has the caller alone, and can start as many itself.
#include "../check.h"

#define N 3000
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int there, released;

static void* wait_for_release(void* arg) {
    pthread_mutex_lock(&mutex);
    there++;
    pthread_cond_broadcast(&cond);
    while (!released) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return arg;
}

static void many(void) {
    static pthread_t t[N];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    CHECK_EQ(pthread_attr_setstacksize(&attr, 64 * 1024), 0);
    there = released = 0;
    for (long i = 0; i < N; i++) CHECK_EQ(pthread_create(&t[i], &attr, wait_for_release, (void*)i), 0);
    pthread_mutex_lock(&mutex);
    while (there < N) pthread_cond_wait(&cond, &mutex);
    released = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    for (long i = 0; i < N; i++) {
        void* result;
        CHECK_EQ(pthread_join(t[i], &result), 0);
        CHECK_EQ((long)result, i);
    }
}

static void* fork_here(void* arg) {
    pid_t child = fork();
    CHECK_OK(child);
    if (!child) {
        CHECK_EQ(syscall(SYS_gettid), getpid());
        pthread_cond_init(&cond, NULL);  // its waiters are gone, and who held the mutex too
        pthread_mutex_init(&mutex, NULL);
        many();
        many();
        _exit(7);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    return NULL;
}

int main(void) {
    pthread_t t[200], forker;
    for (int i = 0; i < 200; i++) CHECK_EQ(pthread_create(&t[i], NULL, wait_for_release, NULL), 0);
    pthread_mutex_lock(&mutex);
    while (there < 200) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    CHECK_EQ(pthread_create(&forker, NULL, fork_here, NULL), 0);
    CHECK_EQ(pthread_join(forker, NULL), 0);
    pthread_mutex_lock(&mutex);
    released = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 200; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    many();
    return 0;
}
