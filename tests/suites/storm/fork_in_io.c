// forks from eight threads while others do I/O; children use locks, threads and pipes of their own
#include "storm.h"
static atomic_int stop;
static int rounds;
static void* noise(void* p) {
    int fd[2];
    char b[512];
    (void)p;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    while (!atomic_load(&stop)) {
        write_all(fd[0], b, sizeof b);
        read_all(fd[1], b, sizeof b);
        sched_yield();
    }
    return NULL;
}
static void* parked(void* p) {
    int fd[2];
    char b;
    (void)p;
    CHECK(pipe(fd) == 0);
    while (!atomic_load(&stop)) {
        struct pollfd q = {fd[0], POLLIN, 0};
        poll(&q, 1, 5);
    }
    close(fd[0]);
    close(fd[1]);
    (void)b;
    return NULL;
}
static void* in_child(void* p) { write_all(*(int*)p, "x", 1); return NULL; }
static void* forks(void* p) {
    (void)p;
    for (int i = 0; i < rounds; i++) {
        int fd[2];
        CHECK(pipe(fd) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (!pid) {
            pthread_t t[4];
            char b;
            for (int k = 0; k < 4; k++) t[k] = start(in_child, &fd[1]);
            for (int k = 0; k < 4; k++) read_all(fd[0], &b, 1);
            for (int k = 0; k < 4; k++) finish(t[k]);
            void* m = malloc(100000);
            memset(m, 1, 100000);
            free(m);
            pid_t inner = i % 4 ? -1 : fork();
            if (!inner) _exit(3);
            if (inner > 0) {
                int s;
                CHECK(wait_for(inner, &s) == inner);
            }
            _exit(5);
        }
        close(fd[1]);
        char b[8];
        close(fd[0]);
        (void)b;
        int status;
        CHECK(wait_for(pid, &status) == pid && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 5);
    }
    return NULL;
}
int main(int argc, char** argv) {
    rounds = times(argc, argv, 10);
    signal(SIGPIPE, SIG_IGN);
    pthread_t n[8], q[8], f[8];
    for (int i = 0; i < 8; i++) n[i] = start(noise, NULL), q[i] = start(parked, NULL);
    for (int i = 0; i < 8; i++) f[i] = start(forks, NULL);
    for (int i = 0; i < 8; i++) finish(f[i]);
    atomic_store(&stop, 1);
    for (int i = 0; i < 8; i++) finish(n[i]), finish(q[i]);
    puts("ok");
    return 0;
}
