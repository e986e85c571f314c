// What a process holds when it execs, in any of its threads, is marked for the next owner.
#include "../check.h"

static pthread_mutex_t* mutexes;

static void* locks(void* arg) {
    CHECK_0(pthread_mutex_lock(&mutexes[1]));
    __atomic_store_n((int*)arg, 1, __ATOMIC_SEQ_CST);
    for (;;) pause();
    return NULL;
}

int main(void) {
    mutexes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    for (int threads = 0; threads < 2; threads++) {
        for (int i = 0; i < 2; i++) CHECK_0(pthread_mutex_init(&mutexes[i], &a));
        pid_t p = fork();
        if (!p) {
            int there = 0;
            if (threads) start(locks, &there);
            while (threads && !__atomic_load_n(&there, __ATOMIC_SEQ_CST)) usleep(1000);
            CHECK_0(pthread_mutex_lock(&mutexes[0]));
            execl("/bin/sleep", "sleep", "30", NULL);
            _exit(1);
        }
        for (int i = 0; i <= threads; i++) {
            int r;
            while ((r = pthread_mutex_trylock(&mutexes[i])) == EBUSY || r == 0) {
                if (r == 0) CHECK_0(pthread_mutex_unlock(&mutexes[i]));  // the child has not come to it
                usleep(1000);
            }
            CHECK_EQ(r, EOWNERDEAD);
        }
        CHECK_OK(kill(p, SIGKILL));
        CHECK_KILLED(p, SIGKILL);
    }
    say("ok");
}
