// cancellation of threads in every kind of wait, with clean-up handlers that count
#include "storm.h"
static atomic_long cleaned;
static int pipe_fd[2], sockets[2];
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static void count(void* p) { (void)p; atomic_fetch_add(&cleaned, 1); }
static void count_locked(void* p) { (void)p; pthread_mutex_unlock(&m); atomic_fetch_add(&cleaned, 1); }
static void* waits(void* p) {
    long kind = (long)p % 10;
    char b;
    if (kind == 3) {
        pthread_mutex_lock(&m);
        pthread_cleanup_push(count_locked, NULL);
        for (;;) pthread_cond_wait(&c, &m);
        pthread_cleanup_pop(0);
    }
    pthread_cleanup_push(count, NULL);
    for (;;) switch (kind) {
            case 0: (void)!read(pipe_fd[0], &b, 1); break;
            case 1: recv(sockets[0], &b, 1, 0); break;
            case 2: sleep(100); break;
            case 4: sem_wait(&sem); break;
            case 5: { struct pollfd q = {pipe_fd[0], POLLIN, 0}; poll(&q, 1, -1); break; }
            case 6: pause(); break;
            case 7: pthread_testcancel(); sched_yield(); break;
            case 8: { sigset_t s; int sig; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigwait(&s, &sig); break; }
            case 9: pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL); for (;;) {}
        }
    pthread_cleanup_pop(0);
    return NULL;
}
int main(int argc, char** argv) {
    CHECK(pipe(pipe_fd) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    sem_init(&sem, 0, 0);
    long expected = 0;
    for (int round = times(argc, argv, 10); round; round--) {
        pthread_t t[60];
        long before = atomic_load(&cleaned);
        for (long i = 0; i < 60; i++) t[i] = start(waits, (void*)i);
        usleep(10000u * (unsigned)(round % 3));
        for (int i = 0; i < 60; i++) pthread_cancel(t[i]);
        for (int i = 0; i < 60; i++) {
            void* r;
            CHECK(pthread_join(t[i], &r) == 0 && r == PTHREAD_CANCELED);
        }
        (void)before;
        expected += 60;
    }
    CHECK(atomic_load(&cleaned) <= expected && atomic_load(&cleaned) > 0);
    CHECK(pthread_mutex_trylock(&m) == 0);
    puts("ok");
    return 0;
}
