// posix_spawn, vfork and system() from eight threads while signals arrive
#include "storm.h"
extern char** environ;
static atomic_long handled;
static atomic_int left;
static int rounds;
static void count(int sig) { (void)sig; atomic_fetch_add(&handled, 1); }
static void* spawns(void* p) {
    long me = (long)p;
    for (int i = 0; i < rounds; i++) {
        pid_t pid;
        int status;
        if ((me + i) % 3 == 0) {
            posix_spawnattr_t a;
            sigset_t none, all;
            sigemptyset(&none);
            sigfillset(&all);
            posix_spawnattr_init(&a);
            posix_spawnattr_setflags(&a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
            posix_spawnattr_setsigmask(&a, &none);
            posix_spawnattr_setsigdefault(&a, &all);
            char* argv[] = {"sh", "-c", "exit 3", NULL};
            CHECK(posix_spawn(&pid, "/bin/sh", NULL, &a, argv, environ) == 0);
            posix_spawnattr_destroy(&a);
        } else if ((me + i) % 3 == 1) {
            pid = vfork();
            if (!pid) _exit(3);
            CHECK(pid > 0);
        } else {
            char* argv[] = {"nothing", NULL};
            CHECK(posix_spawn(&pid, "/nonexistent/nothing", NULL, NULL, argv, environ) == ENOENT);
            continue;
        }
        CHECK(wait_for(pid, &status) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    }
    atomic_fetch_sub(&left, 1);
    return NULL;
}
int main(int argc, char** argv) {
    rounds = times(argc, argv, 10);
    on_signal(SIGUSR1, count, SA_RESTART);
    on_signal(SIGUSR2, count, 0);
    atomic_store(&left, 8);
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(spawns, (void*)i);
    unsigned seed = 3;
    while (atomic_load(&left)) {
        pthread_kill(t[next_random(&seed) % 8], SIGUSR2);
        kill(getpid(), SIGUSR1);
        usleep(200);
    }
    for (int i = 0; i < 8; i++) finish(t[i]);
    puts("ok");
    return 0;
}
