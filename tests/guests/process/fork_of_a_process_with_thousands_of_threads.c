// A process with some thousands of threads forks; the child starts as many of its own, forks again, and so does the parent afterwards.
// TEST: timeout=90 configs=w1,w2
#include "../check.h"

enum { kThreads = 2500 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int there, leave;

static void* waits(void* arg) {
    volatile char mark = (char)(long)arg;
    pthread_mutex_lock(&lock);
    there++;
    pthread_cond_broadcast(&changed);
    while (!leave) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    CHECK_EQ(mark, (char)(long)arg);
    return arg;
}

static void start_all(pthread_t* threads) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    CHECK_0(pthread_attr_setstacksize(&attr, 65536));
    there = leave = 0;
    for (long i = 0; i < kThreads; i++) CHECK_0(pthread_create(&threads[i], &attr, waits, (void*)i));
    pthread_mutex_lock(&lock);
    while (there < kThreads) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void end_all(pthread_t* threads) {
    pthread_mutex_lock(&lock);
    leave = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (long i = 0; i < kThreads; i++) {
        void* result;
        CHECK_0(pthread_join(threads[i], &result));
        CHECK_EQ((long)result, i);
    }
}

static void generation(int left) {
    static pthread_t threads[kThreads];
    start_all(threads);
    for (int i = 0; left && i < 2; i++) {
        pthread_mutex_lock(&lock);
        pid_t child = fork();
        if (!child) {
            // Nobody of the parent's threads is here: fresh ones, in the memory that theirs had.
            static pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
            static pthread_cond_t none = PTHREAD_COND_INITIALIZER;
            lock = fresh;
            changed = none;
            generation(left - 1);
            _exit(7);
        }
        pthread_mutex_unlock(&lock);
        CHECK_OK(child);
        CHECK_EXIT(child, 7);
    }
    end_all(threads);
}

int main(void) {
    generation(2);
    say("ok");
}
