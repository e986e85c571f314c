// sleeping_threads.c - N threads that sleep, for looking at the process from outside; prints "ready" and waits for
// input.
//
// usage: sleeping_threads N [DEPTH]; DEPTH > 0: a child, a grandchild … by fork+exec do the same, all print "ready
// PID"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t all_run;

static void* nap(void* arg) {
    pthread_barrier_wait(&all_run);
    for (;;) sleep(1000);
    return arg;
}

int main(int argc, char** argv) {
    int n = argc > 1 ? atoi(argv[1]) : 300, depth = argc > 2 ? atoi(argv[2]) : 0;
    pid_t child = 0;
    if (depth > 0) {
        char count[16], deeper[16];
        snprintf(count, sizeof count, "%d", n);
        snprintf(deeper, sizeof deeper, "%d", depth - 1);
        child = fork();
        if (child == 0) {
            execl(argv[0], argv[0], count, deeper, (char*)NULL);
            _exit(127);
        }
    }
    pthread_barrier_init(&all_run, NULL, n + 1);
    for (int i = 0; i < n; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, nap, NULL)) return 1;
    }
    pthread_barrier_wait(&all_run);
    char line[32];
    int length = snprintf(line, sizeof line, "ready %d\n", getpid());
    if (write(1, line, length) != length) return 1;
    char c;
    while (read(0, &c, 1) > 0) {
    }
    if (child) waitpid(child, NULL, 0);
    return 0;
}
