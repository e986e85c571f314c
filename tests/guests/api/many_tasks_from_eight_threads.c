// many_tasks_from_eight_threads.c - each sleeps a millisecond or talks over a socket; the totals are exact, memory is bounded
// TEST: libs=ocrun_shared args="20000 20" timeout=60
//
// many_tasks_from_eight_threads TASKS MIB [sleep|talk]: MIB is the most the process may have grown to, beside the coroutines; each
// thread keeps 1,000 handles. Without a third argument every fourth task talks; with one the peak is printed. Who talks waits for an
// answer, which a thread at the other end of the socket gives.
#include <sys/socket.h>

#include "api.h"

enum { THREADS = 8, KEPT = 1000, SOCKETS = 64 };
static long per_thread;
static int slept, talked;
static int talk_of = 4;  // so many sleep for one that talks, that included; 0: none talks
static int sockets[SOCKETS][2], free_sockets[SOCKETS], free_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some_free = PTHREAD_COND_INITIALIZER;

static void* sleeps(void* number) {
    oc_sleep(MS);
    add(&slept, 1);
    return number;
}
static void* talks(void* number) {
    pthread_mutex_lock(&lock);
    while (!free_count) pthread_cond_wait(&some_free, &lock);
    int pair = free_sockets[--free_count];
    pthread_mutex_unlock(&lock);
    long there = 0;
    CHECK_EQ(send(sockets[pair][0], &number, sizeof number, 0), sizeof number);
    CHECK_EQ(recv(sockets[pair][0], &there, sizeof there, MSG_WAITALL), sizeof there);
    pthread_mutex_lock(&lock);
    free_sockets[free_count++] = pair;
    pthread_cond_signal(&some_free);
    pthread_mutex_unlock(&lock);
    add(&talked, 1);
    return (void*)there;
}
static void* echoes(void* pair) {
    int fd = sockets[(long)pair][1];
    char bytes[sizeof(void*)];
    for (ssize_t n; (n = recv(fd, bytes, sizeof bytes, 0)) > 0;) CHECK_EQ(send(fd, bytes, (size_t)n, 0), n);
    return NULL;
}
static void* creates(void* unused) {
    static __thread oc_task* kept[KEPT];
    for (long i = 0; i < per_thread + KEPT; i++) {
        oc_task** slot = &kept[i % KEPT];
        if (*slot) CHECK_EQ((long)finished(*slot, 0), i - KEPT);
        *slot = i < per_thread ? oc_task_create(talk_of && i % talk_of == 0 ? talks : sleeps, (void*)i, 0) : NULL;
        if (i < per_thread) CHECK(*slot);
    }
    return NULL;
}

int main(int argc, char** argv) {
    oc_config config = api_config();
    CHECK_EQ(oc_init(&config), 0);
    long total = atol(argv[1]), limit_mib = atol(argv[2]);
    per_thread = total / THREADS;
    if (argc > 3) talk_of = strcmp(argv[3], "talk") == 0;
    pthread_t echo[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]));
        free_sockets[free_count++] = i;
        CHECK_EQ(pthread_create(&echo[i], NULL, echoes, (void*)(long)i), 0);
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, creates, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(slept + talked, total);
    CHECK_EQ(talked, talk_of ? total / talk_of : 0);
    for (int i = 0; i < SOCKETS; i++) {
        CHECK_OK(shutdown(sockets[i][0], SHUT_WR));
        CHECK_EQ(pthread_join(echo[i], NULL), 0);
    }
    oc_stats stats = {.size = sizeof stats};
    CHECK_EQ(oc_get_stats(&stats), 0);
    CHECK_EQ(stats.created, total);
    // A coroutine with its stacks touches some 40 KiB; there are as many as handles kept, at most.
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    long mib = usage.ru_maxrss / 1024;
    if (mib > limit_mib + THREADS * KEPT * 64 / 1024) check_failed(__FILE__, __LINE__, "%ld MiB resident", mib);
    api_end();
    if (argc > 3) printf("peak %ld MiB\n", mib), fflush(stdout);
    say("ok");
    return 0;
}
